//! Named patterns of fraud.

use serde::{Deserialize, Serialize};

use crate::transaction::words;

words! {
    /// The pattern of fraud that an analysis recognised.
    Typology {
        /// Many small attempts to learn which stolen cards work.
        CardTesting = "card_testing",
        /// A stolen card spent quickly.
        StolenCardSpree = "stolen_card_spree",
        /// A terminal that leaks or abuses cards.
        CompromisedTerminal = "compromised_terminal",
        /// Somebody else controls the account.
        AccountTakeover = "account_takeover",
        /// The victim pays a forged invoice.
        InvoiceRedirection = "app_scam_invoice_redirection",
        /// The victim pays a feigned lover.
        Romance = "app_scam_romance",
        /// The victim obeys a feigned bank.
        BankImpersonation = "app_scam_bank_impersonation",
        /// An account that passes stolen money on.
        MuleAccount = "mule_account",
        /// Refunds without purchases.
        RefundAbuse = "refund_abuse",
        /// No fraud.
        None = "none",
        /// Fraud of no known pattern.
        Unknown = "unknown",
    }
}
