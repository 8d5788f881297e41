//! [Label Studio](https://labelstud.io): tasks out, labels back.
//!
//! Formats: [tasks](https://labelstud.io/guide/task_format) and
//! [predictions](https://labelstud.io/guide/predictions) out; its exports `JSON` and `JSON_MIN` in.

mod import;
mod item;
mod task;
mod votes;

pub use import::{Bad, ImportedLabel, ImportedLabels, REPORTED_MAX, Tie, import};
pub use task::{Case, TaskWriter};

/// The name of the choice in the labelling interface, and of its column in `JSON_MIN`.
pub(crate) const CONTROL: &str = "label";
/// The object that the choice is about.
pub(crate) const OBJECT: &str = "case";
/// The third choice, which abstains.
pub(crate) const UNSURE: &str = "unsure";

/// The labelling interface, to be pasted into a project's settings. Its choices are what
/// [`import`] reads, and it shows nothing but fields that every task has.
pub const CONFIG: &str = r#"<View>
  <Header value="$headline"/>
  <Text name="case" value="$case"/>
  <Header value="What the models said" size="5"/>
  <Text name="models" value="$models"/>
  <Header value="What is it?" size="5"/>
  <Choices name="label" toName="case" choice="single" required="true" showInline="true">
    <Choice value="fraud" hotkey="f"/>
    <Choice value="legitimate" hotkey="l"/>
    <Choice value="unsure" hotkey="u"/>
  </Choices>
  <TextArea name="note" toName="case" rows="2" maxSubmissions="1" placeholder="Why (optional)"/>
</View>
"#;
