//! The transaction, parsed at the door.

use std::{collections::BTreeMap, fmt, str::FromStr};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    AccountId, Amount, CardToken, CounterpartyId, Currency, DeviceId, ObjectReader, TerminalId,
    Text, TransactionId, Violations,
    reader::{kind_of, parsed},
};

/// A closed set of snake_case words, with its parser and its name.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:tt),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
        pub enum $name { $($(#[$variant_doc])* #[serde(rename = $word)] $variant),* }

        impl $name {
            /// Every member, in declaration order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The word used in JSON, metrics and templates.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }
        }

        impl std::str::FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $($word => Ok(Self::$variant),)*
                    _ => Err(concat!("must be one of", $(" ", $word),*).to_owned()),
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}
pub(crate) use words;

words! {
    /// What kind of payment this is.
    TransactionType {
        /// A purchase by card.
        CardPayment = "card_payment",
        /// Cash taken out.
        CashWithdrawal = "cash_withdrawal",
        /// A credit transfer.
        Transfer = "transfer",
        /// A pull by a creditor under a mandate.
        DirectDebit = "direct_debit",
        /// A wallet payment.
        Wallet = "wallet",
        /// Money returned to the account.
        Refund = "refund",
    }
}

words! {
    /// Where the payment was made.
    Channel {
        /// Online shop.
        Ecommerce = "ecommerce",
        /// Point of sale.
        Pos = "pos",
        /// Cash machine.
        Atm = "atm",
        /// Mobile banking.
        Mobile = "mobile",
        /// Online banking.
        Web = "web",
        /// Bank branch.
        Branch = "branch",
        /// Programmatic.
        Api = "api",
    }
}

words! {
    /// How the card was read.
    EntryMode {
        /// Chip.
        Chip = "chip",
        /// Contactless.
        Contactless = "contactless",
        /// Magnetic stripe.
        Magstripe = "magstripe",
        /// Keyed in.
        Manual = "manual",
        /// Card not present.
        Ecommerce = "ecommerce",
    }
}

words! {
    /// What kind of party receives the money.
    CounterpartyKind {
        /// A shop.
        Merchant = "merchant",
        /// A natural person.
        Person = "person",
        /// A company that is paid by transfer.
        Business = "business",
        /// A bank.
        Bank = "bank",
        /// A public body.
        Government = "government",
    }
}

/// An ISO 3166-1 alpha-2 country code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "schema", schema(value_type = String, pattern = "^[A-Z]{2}$", example = "DE"))]
pub struct CountryCode([u8; 2]);

impl CountryCode {
    /// The code as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("ZZ")
    }
}

impl FromStr for CountryCode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.as_bytes() {
            &[a, b] if a.is_ascii_uppercase() && b.is_ascii_uppercase() => Ok(Self([a, b])),
            _ => Err("must be an ISO 3166-1 code of two capital letters, such as \"DE\"".into()),
        }
    }
}

impl TryFrom<String> for CountryCode {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<CountryCode> for String {
    fn from(code: CountryCode) -> Self {
        code.as_str().to_owned()
    }
}

impl fmt::Display for CountryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An ISO 18245 merchant category code: four digits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "schema", schema(value_type = String, pattern = "^[0-9]{4}$", example = "5411"))]
pub struct Mcc(String);

impl Mcc {
    /// The code as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Mcc {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        digits(text, 4..=4).map(Self)
    }
}

impl TryFrom<String> for Mcc {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Mcc> for String {
    fn from(mcc: Mcc) -> Self {
        mcc.0
    }
}

/// Digits only, of a given length.
fn digits(text: &str, length: std::ops::RangeInclusive<usize>) -> Result<String, String> {
    if length.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit()) {
        Ok(text.to_owned())
    } else if length.start() == length.end() {
        Err(format!("must be {} digits", length.start()))
    } else {
        Err(format!("must be {} to {} digits", length.start(), length.end()))
    }
}

/// The account that pays, or is refunded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Account {
    /// The account's identifier.
    pub id: AccountId,
    /// When the account was opened.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub opened_at: Option<Timestamp>,
    /// The account holder's country.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub country: Option<CountryCode>,
}

/// The card used, never its number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Card {
    /// Stands for the card number.
    pub token: CardToken,
    /// Bank identification number: the first 6 to 8 digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(pattern = "^[0-9]{6,8}$"))]
    pub bin: Option<String>,
    /// The last four digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(pattern = "^[0-9]{4}$"))]
    pub last4: Option<String>,
    /// How the card was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry_mode: Option<EntryMode>,
}

/// The merchant or beneficiary.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Counterparty {
    /// The counterparty's identifier.
    pub id: CounterpartyId,
    /// The name as given: untrusted text of at most 140 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, max_length = 140))]
    pub name: Option<Text<140>>,
    /// What kind of party this is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<CounterpartyKind>,
    /// Merchant category code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mcc: Option<Mcc>,
    /// The counterparty's country.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub country: Option<CountryCode>,
    /// When the institution first saw this counterparty.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub first_seen: Option<Timestamp>,
}

/// The point-of-sale or cash terminal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Terminal {
    /// The terminal's identifier.
    pub id: TerminalId,
}

/// The device the payment came from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Device {
    /// The device's identifier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<DeviceId>,
    /// IPv4 or IPv6 address.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, example = "192.0.2.7"))]
    pub ip: Option<std::net::IpAddr>,
    /// The country the address belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip_country: Option<CountryCode>,
    /// The user agent: untrusted text of at most 256 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, max_length = 256))]
    pub user_agent: Option<Text<256>>,
}

/// A scalar attribute of the caller's own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum AttributeValue {
    /// True or false.
    Bool(bool),
    /// A finite number.
    Number(f64),
    /// Untrusted text of at most 256 characters.
    #[cfg_attr(feature = "schema", schema(value_type = String))]
    Text(Text<256>),
}

/// One payment to be screened.
///
/// Only `id`, `timestamp`, `amount`, `currency` and `account.id` are required.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Transaction {
    /// The transaction's identifier.
    pub id: TransactionId,
    /// When it happened (event time).
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub timestamp: Timestamp,
    /// How much, in major units: a decimal string or a number.
    pub amount: Amount,
    /// In which currency.
    pub currency: Currency,
    /// What kind of payment.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<TransactionType>,
    /// Where it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<Channel>,
    /// Who pays, or is refunded.
    pub account: Account,
    /// The card used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub card: Option<Card>,
    /// Who receives, or refunds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counterparty: Option<Counterparty>,
    /// The terminal used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terminal: Option<Terminal>,
    /// The device used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<Device>,
    /// Remittance text: untrusted, at most 256 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, max_length = 256))]
    pub memo: Option<Text<256>>,
    /// At most 32 scalars of the caller's own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, AttributeValue>,
}

/// What parsing needs to know of the world.
#[derive(Debug, Clone, Copy)]
pub struct ParseContext {
    /// The present; transactions more than a day ahead of it are refused.
    pub now: Timestamp,
}

/// How far ahead of the server's clock a transaction may lie.
const FUTURE_MAX: SignedDuration = SignedDuration::from_hours(24);
/// Transactions before 1990-01-01 are refused.
const TIMESTAMP_MIN_SECONDS: i64 = 631_152_000;
/// The most attributes of one transaction.
const ATTRIBUTES_MAX: usize = 32;

impl Transaction {
    /// Parses the JSON value of a transaction whose pointers start at the document's root.
    ///
    /// # Errors
    /// Every violation found, each with its pointer.
    pub fn parse(value: &Value, context: &ParseContext) -> Result<Self, Violations> {
        let mut violations = Violations::default();
        let transaction = ObjectReader::open(value, "", &mut violations).and_then(|mut reader| {
            let transaction = Self::read(&mut reader, context);
            reader.close();
            transaction
        });
        violations.into_result()?;
        // Without a violation every required member was read.
        transaction.ok_or_else(Violations::default)
    }

    /// Reads a transaction from an open object, for documents that embed one.
    pub fn read(reader: &mut ObjectReader<'_, '_>, context: &ParseContext) -> Option<Self> {
        let id = reader.required("id", parsed);
        let timestamp = reader.required("timestamp", |value| timestamp(value, context));
        let amount = reader.required("amount", amount);
        let currency = reader.required("currency", parsed);
        let kind = reader.optional("type", parsed);
        let channel = reader.optional("channel", parsed);
        let account = reader.required_object("account", read_account);
        let card = reader.optional_object("card", read_card);
        let counterparty = reader.optional_object("counterparty", read_counterparty);
        let terminal = reader.optional_object("terminal", |terminal| {
            Some(Terminal { id: terminal.required("id", parsed)? })
        });
        let device = reader.optional_object("device", read_device);
        let memo = reader.optional("memo", parsed);
        let attributes = reader.optional("attributes", attributes).unwrap_or_default();
        Some(Self {
            id: id?,
            timestamp: timestamp?,
            amount: amount?,
            currency: currency?,
            kind,
            channel,
            account: account?,
            card,
            counterparty,
            terminal,
            device,
            memo,
            attributes,
        })
    }
}

fn read_account(reader: &mut ObjectReader<'_, '_>) -> Option<Account> {
    let id = reader.required("id", parsed);
    let opened_at = reader.optional("opened_at", instant);
    let country = reader.optional("country", parsed);
    Some(Account { id: id?, opened_at, country })
}

fn read_card(reader: &mut ObjectReader<'_, '_>) -> Option<Card> {
    let token = reader.required("token", parsed);
    let bin = reader.optional("bin", |value| digits(crate::reader::string(value)?, 6..=8));
    let last4 = reader.optional("last4", |value| digits(crate::reader::string(value)?, 4..=4));
    let entry_mode = reader.optional("entry_mode", parsed);
    Some(Card { token: token?, bin, last4, entry_mode })
}

fn read_counterparty(reader: &mut ObjectReader<'_, '_>) -> Option<Counterparty> {
    let id = reader.required("id", parsed);
    let name = reader.optional("name", parsed);
    let kind = reader.optional("kind", parsed);
    let mcc = reader.optional("mcc", parsed);
    let country = reader.optional("country", parsed);
    let first_seen = reader.optional("first_seen", instant);
    Some(Counterparty { id: id?, name, kind, mcc, country, first_seen })
}

fn read_device(reader: &mut ObjectReader<'_, '_>) -> Option<Device> {
    let id = reader.optional("id", parsed);
    let ip = reader.optional("ip", |value| {
        crate::reader::string(value)?.parse().map_err(|_| "must be an IP address".to_owned())
    });
    let ip_country = reader.optional("ip_country", parsed);
    let user_agent = reader.optional("user_agent", parsed);
    Some(Device { id, ip, ip_country, user_agent })
}

/// A decimal string, or a JSON number taken by its shortest decimal form.
fn amount(value: &Value) -> Result<Amount, String> {
    match value {
        Value::String(text) => text.parse(),
        Value::Number(number) => number.to_string().parse(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
            Err(format!("must be a decimal string or a number, not {}", kind_of(value)))
        }
    }
}

/// An RFC 3339 instant no earlier than 1990.
fn instant(value: &Value) -> Result<Timestamp, String> {
    let at: Timestamp = crate::reader::string(value)?
        .parse()
        .map_err(|_| "must be an RFC 3339 time such as \"2026-03-01T12:34:56Z\"".to_owned())?;
    if at.as_second() < TIMESTAMP_MIN_SECONDS {
        return Err("must not lie before 1990".into());
    }
    Ok(at)
}

fn timestamp(value: &Value, context: &ParseContext) -> Result<Timestamp, String> {
    let at = instant(value)?;
    if at.duration_since(context.now) > FUTURE_MAX {
        return Err("lies more than 24 hours in the future".into());
    }
    Ok(at)
}

/// A flat map of scalars; the first problem names its member.
fn attributes(value: &Value) -> Result<BTreeMap<String, AttributeValue>, String> {
    let object =
        value.as_object().ok_or_else(|| format!("must be an object, not {}", kind_of(value)))?;
    if object.len() > ATTRIBUTES_MAX {
        return Err(format!("must have at most {ATTRIBUTES_MAX} members"));
    }
    object.iter().map(|(name, value)| Ok((attribute_name(name)?, attribute(value)?))).collect()
}

fn attribute_name(name: &str) -> Result<String, String> {
    let fits = (1..=64).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
        && !crate::contains_card_number(name);
    if fits {
        Ok(name.to_owned())
    } else {
        Err("must have names of 1 to 64 letters, digits, '_', '-' or '.'".into())
    }
}

fn attribute(value: &Value) -> Result<AttributeValue, String> {
    match value {
        Value::Bool(flag) => Ok(AttributeValue::Bool(*flag)),
        Value::Number(number) if crate::contains_card_number(&number.to_string()) => {
            Err("must not hold a card number".into())
        }
        Value::Number(number) => number
            .as_f64()
            .filter(|number| number.is_finite())
            .map(AttributeValue::Number)
            .ok_or_else(|| "must hold finite numbers".to_owned()),
        Value::String(text) => text.parse().map(AttributeValue::Text),
        Value::Null | Value::Array(_) | Value::Object(_) => {
            Err(format!("must hold strings, numbers or booleans, not {}", kind_of(value)))
        }
    }
}
