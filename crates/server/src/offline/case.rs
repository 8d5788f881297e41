//! One line of a labelled stream.

use domain::{
    ObjectReader, ParseContext, Transaction, TruthLabel, Violation, Violations, reader::parsed,
};
use jiff::Timestamp;
use serde_json::Value;

/// A transaction with what is known about it. A bare transaction is a case without a label.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) transaction: Transaction,
    pub(crate) label: Option<TruthLabel>,
    /// When the label became known.
    pub(crate) label_at: Option<Timestamp>,
    /// The pattern of fraud.
    pub(crate) typology: Option<String>,
    /// What made a legitimate transaction unusual.
    pub(crate) scenario: Option<String>,
}

impl Case {
    /// Parses `{"transaction": {...}, "label"?, "label_at"?, "typology"?, "scenario"?}`, or a
    /// bare transaction.
    pub(crate) fn parse(line: &str) -> Result<Self, Violations> {
        let value: Value = serde_json::from_str(line).map_err(|error| {
            Violations(vec![Violation { pointer: String::new(), detail: error.to_string() }])
        })?;
        // A file may hold any period; only a live request can lie in the future.
        let context = ParseContext { now: Timestamp::MAX };
        if value.get("transaction").is_none() {
            let transaction = Transaction::parse(&value, &context)?;
            return Ok(Self {
                transaction,
                label: None,
                label_at: None,
                typology: None,
                scenario: None,
            });
        }
        let mut violations = Violations::default();
        let case = ObjectReader::open(&value, "", &mut violations).and_then(|mut reader| {
            let case = Self::read(&mut reader, &context);
            reader.close();
            case
        });
        violations.into_result()?;
        case.ok_or_else(Violations::default)
    }

    fn read(reader: &mut ObjectReader<'_, '_>, context: &ParseContext) -> Option<Self> {
        let transaction =
            reader.required_object("transaction", |inner| Transaction::read(inner, context));
        let label = reader.optional("label", parsed);
        let label_at = reader.optional("label_at", parsed);
        let typology = reader.optional("typology", parsed);
        let scenario = reader.optional("scenario", parsed);
        Some(Self { transaction: transaction?, label, label_at, typology, scenario })
    }

    /// Whether this is confirmed fraud.
    pub(crate) fn is_fraud(&self) -> bool {
        self.label == Some(TruthLabel::Fraud)
    }
}
