//! A PostgreSQL server of the tests' own.

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use sqlx::{ConnectOptions, Connection, PgConnection, postgres::PgConnectOptions};

/// A running server; it ends with the process that started it.
pub(crate) struct Server {
    programs: PathBuf,
    folder: PathBuf,
    port: u16,
    /// The shell that waits for this process's end.
    _watch: (Child, ChildStdin),
}

/// The one server that all tests share.
pub(crate) fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(Server::start)
}

/// Where PostgreSQL's programs are. Debian keeps them out of the path.
fn programs() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<_> = versions.map(|version| version.path().join("bin")).collect();
    found.sort();
    let paths = std::env::var_os("PATH").unwrap_or_default();
    found.splice(0..0, std::env::split_paths(&paths));
    let has = |folder: &PathBuf| folder.join("initdb").exists() && folder.join("postgres").exists();
    found.into_iter().rfind(has).expect(
        "these tests need PostgreSQL's programs (initdb, postgres): install the package `postgresql`",
    )
}

/// A command that runs as an unprivileged user: as root, PostgreSQL refuses to.
pub(crate) fn unprivileged(program: &Path) -> Command {
    let is_root = rustix_is_root();
    if !is_root {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]).arg(program);
    command
}

fn rustix_is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    String::from_utf8_lossy(&id.stdout).trim() == "0"
}

impl Server {
    pub(crate) fn start() -> Self {
        let programs = programs();
        let folder = tempfile::Builder::new().prefix("weir-pg-").tempdir().unwrap().keep();
        if rustix_is_root() {
            let owned = Command::new("chown").arg("postgres").arg(&folder).status().unwrap();
            assert!(owned.success());
        }
        let data = folder.join("data");
        let made = unprivileged(&programs.join("initdb"))
            .args(["--username=weir", "--auth=trust", "--encoding=UTF8", "--locale=C", "--pgdata"])
            .arg(&data)
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(made.success(), "initdb failed");
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let watch = watch(&programs, &folder, port);
        let server = Self { programs, folder, port, _watch: watch };
        server.wait();
        server
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    fn wait(&self) {
        let begun = Instant::now();
        let ready = || {
            let mut command = Command::new(self.programs.join("pg_isready"));
            command.args(["-h", "127.0.0.1", "-p", &self.port.to_string()]).stdout(Stdio::null());
            command.status().unwrap().success()
        };
        while !ready() {
            assert!(begun.elapsed() < Duration::from_secs(60), "PostgreSQL did not start");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn control(&self, arguments: &[&str]) {
        let done = unprivileged(&self.programs.join("pg_ctl"))
            .args(arguments)
            .arg("-D")
            .arg(self.folder.join("data"))
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(done.success(), "pg_ctl {arguments:?} failed");
    }

    /// Stops the server as a crash does.
    pub(crate) fn stop(&self) {
        self.control(&["stop", "-w", "-m", "immediate"]);
    }

    /// Starts it again, on its port.
    pub(crate) fn start_again(&self) {
        let options = options(&self.folder, self.port);
        let log = self.folder.join("log");
        self.control(&["start", "-w", "-o", &options, "-l", log.to_str().unwrap()]);
        self.wait();
    }

    fn options(&self) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass()
            .host("127.0.0.1")
            .port(self.port)
            .username("weir")
            .database("postgres")
    }

    async fn connect(&self, database: &str) -> PgConnection {
        self.options().database(database).connect().await.unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self._watch.0.kill();
        let _ = Command::new("sh")
            .args(["-c", "kill -9 $(head -1 data/postmaster.pid); rm -rf \"$PWD\""])
            .current_dir(&self.folder)
            .stderr(Stdio::null())
            .status();
    }
}

fn options(folder: &Path, port: u16) -> String {
    format!("-p {port} -h 127.0.0.1 -k {}", folder.display())
}

/// Runs the server under a shell that ends it, and removes its folder, when this process ends,
/// however it does: then the pipe to the shell breaks.
fn watch(programs: &Path, folder: &Path, port: u16) -> (Child, ChildStdin) {
    let script = format!(
        "{} -D data {} >log 2>&1 & cat >/dev/null; \
         kill -9 $(head -1 data/postmaster.pid 2>/dev/null) 2>/dev/null; rm -rf \"$PWD\"",
        programs.join("postgres").display(),
        options(folder, port)
    );
    let mut shell = unprivileged(Path::new("sh"))
        .args(["-c", &script])
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let pipe = shell.stdin.take().unwrap();
    (shell, pipe)
}

/// A database of one test's own.
pub(crate) struct Database {
    server: &'static Server,
    name: String,
}

impl Database {
    pub(crate) async fn create(server: &'static Server) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let mut connection = server.connect("postgres").await;
        let create = format!("CREATE DATABASE {name}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(create)).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        Self { server, name }
    }

    pub(crate) fn url(&self) -> String {
        self.url_at(self.server.port)
    }

    /// As seen through another port.
    pub(crate) fn url_at(&self, port: u16) -> String {
        format!("postgres://weir@127.0.0.1:{port}/{}", self.name)
    }

    pub(crate) async fn execute(&self, statements: &'static str) -> Result<(), sqlx::Error> {
        let mut connection = self.server.connect(&self.name).await;
        let result = sqlx::raw_sql(statements).execute(&mut connection).await.map(drop);
        connection.close().await?;
        result
    }
}
