use super::*;

fn load(
    file: &str,
    environment: &[(&str, &str)],
    flags: &[(&'static str, &str)],
) -> Result<Settings, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weir.toml");
    std::fs::write(&path, file).unwrap();
    let own = |(a, b): &(&str, &str)| ((*a).to_owned(), (*b).to_owned());
    let sources = Sources {
        file: Some(path),
        environment: environment.iter().map(own).collect(),
        flags: flags.iter().map(|(key, value)| (*key, (*value).to_owned())).collect(),
    };
    Settings::load(&sources).map_err(|error| error.to_string())
}

#[test]
fn flags_beat_the_environment_which_beats_the_file() {
    let file = "listen = \"127.0.0.1:1\"\ndata_dir = \"/file\"\n[screening]\nworkers = 1\n";
    let environment = [
        ("WEIR_LISTEN", "127.0.0.1:2"),
        ("WEIR_SCREENING__WORKERS", "2"),
        ("WEIR_ANALYSIS__ENABLED", "false"),
        ("PATH", "/bin"),
    ];
    let settings = load(file, &environment, &[("listen", "127.0.0.1:3")]).unwrap();
    assert_eq!(settings.listen, "127.0.0.1:3");
    assert_eq!(settings.screening.workers, 2);
    assert_eq!(settings.data_dir, PathBuf::from("/file"));
    assert!(!settings.analysis.enabled);
}

#[test]
fn whatever_nobody_reads_is_refused_by_name() {
    let error = load("[http]\nmax_inflight = 3\n", &[], &[]).unwrap_err();
    assert!(error.contains("max_inflight") && error.contains("line 2"), "{error}");
    let error = load("", &[("WEIR_LISTN", "x")], &[]).unwrap_err();
    assert!(error.contains("WEIR_LISTN"), "{error}");
    let error = load("", &[("WEIR_SCREENING_PACKAGE", "x")], &[]).unwrap_err();
    assert!(error.contains("WEIR_SCREENING_PACKAGE"), "{error}");
}

#[test]
fn documented_variables_that_are_no_settings_are_let_pass() {
    load("", &[("WEIR_LOG", "debug"), ("WEIR_CONFIG", "x.toml")], &[]).unwrap();
}

#[test]
fn everything_out_of_range_is_named_at_once() {
    let file = "listen = \"8080\"\n[http]\nmax_in_flight = 0\n[screening]\nmax_batch_size = 1000\n";
    let error = load(file, &[], &[]).unwrap_err();
    for key in ["listen", "http.max_in_flight", "screening.max_batch_size"] {
        assert!(error.contains(key), "{error}");
    }
}

#[test]
fn values_of_the_wrong_kind_are_refused_with_their_variable() {
    let error = load("", &[("WEIR_HTTP__MAX_IN_FLIGHT", "many")], &[]).unwrap_err();
    assert!(
        error.contains("WEIR_HTTP__MAX_IN_FLIGHT") && error.contains("whole number"),
        "{error}"
    );
    let error = load("", &[("WEIR_LOG__FORMAT", "xml")], &[]).unwrap_err();
    assert!(error.contains("xml"), "{error}");
}

#[test]
fn effective_settings_read_back_as_they_are() {
    let settings = load("", &[("WEIR_POLICY__FILE", "p.toml")], &[]).unwrap();
    let again: Settings = toml::from_str(&settings.to_toml().unwrap()).unwrap();
    assert_eq!(again, settings);
}

#[test]
fn every_key_is_documented_with_its_default_and_no_other_is() {
    let page = include_str!("../../../../docs/configuration.md");
    let mut documented: Vec<_> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(key, _)| key)
        .filter(|key| *key == key.to_lowercase())
        .collect();
    let keys = keys();
    let mut known: Vec<_> = keys.iter().map(|(key, _)| key.as_str()).collect();
    documented.sort_unstable();
    known.sort_unstable();
    assert_eq!(documented, known);
}

#[test]
fn webhooks_come_from_the_file_and_their_waits_from_the_environment_too() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD\n").unwrap();
    let file = format!(
        "[[webhooks.endpoints]]\nname = \"cases\"\nurl = \"http://127.0.0.1:9/\"\nsecret_file = {:?}\n\
         events = [\"decision.final\"]\n",
        secret.display().to_string()
    );
    let settings = load(&file, &[("WEIR_WEBHOOKS__RETRY_WAITS_S", "1, 20")], &[]).unwrap();
    assert_eq!(settings.webhooks.retry_waits_s, [1, 20]);
    assert!(settings.webhooks.endpoints().unwrap()[0].wants("decision.final"));
    let shown = settings.to_toml().unwrap();
    assert!(!shown.contains("whsec_"), "{shown}");
    let again: Settings = toml::from_str(&shown).unwrap();
    assert_eq!(again, settings);
    let error = load(&file, &[("WEIR_WEBHOOKS__RETRY_WAITS_S", "1,x")], &[]).unwrap_err();
    assert!(error.contains("whole numbers"), "{error}");
    let error = load("", &[("WEIR_WEBHOOKS__ENDPOINTS[]__URL", "x")], &[]).unwrap_err();
    assert!(error.contains("not known"), "{error}");
}
