//! Opens the ledger for a command that only makes sense where something was recorded.

use anyhow::bail;
use ledger::{Ledger, StoreConfig};
use prometheus::Registry;

use crate::settings::Settings;

/// The ledger of the settings. A SQLite file that is missing stays missing: a new one would make a
/// misspelt folder look like an empty ledger.
pub(super) async fn open(settings: &Settings) -> anyhow::Result<Ledger> {
    let config = settings.ledger_config()?;
    if let StoreConfig::Sqlite { path } = &config.store
        && !path.is_file()
    {
        bail!(
            "{}: there is no ledger; WEIR_DATA_DIR or data_dir tells where it is",
            path.display()
        );
    }
    Ok(Ledger::open(config, &Registry::new()).await?)
}
