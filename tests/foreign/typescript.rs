//! The TypeScript compiler, and Node to run what it makes.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use tokio::process::{Child, Command};
use tokio::sync::OnceCell;

use super::foreign::install;
use super::preparation::prepared;

/// The installed compiler and Node library.
#[derive(Clone, Debug)]
pub struct TypeScript {
    modules: PathBuf,
}

impl TypeScript {
    /// Installs them below `target` (`CARGO_TARGET_TMPDIR`), once for each lock file. `Err` states why they can't be
    /// installed here.
    pub async fn install(target: &'static str) -> Result<Self, String> {
        // Tests run side by side.
        static INSTALLED: OnceCell<Result<TypeScript, String>> = OnceCell::const_new();
        let (package, lock) =
            (include_str!("typescript/package.json"), include_str!("typescript/package-lock.json"));
        let installing = async {
            let installed = install(Path::new(target), "foreign-typescript", package, lock).await?;
            Ok(Self { modules: installed.join("node_modules") })
        };
        INSTALLED.get_or_init(|| installing).await.clone()
    }

    /// Compiles files in place, strictly. `Err` has the lines that the compiler prints.
    pub async fn compile(&self, directory: &Path, files: &[&str]) -> Result<(), Vec<String>> {
        let mut command = Command::new("node");
        command.arg(self.modules.join("typescript/bin/tsc"));
        command.args([
            "--strict",
            "--target",
            "es2022",
            "--module",
            "commonjs",
            "--noEmitOnError",
            "--skipLibCheck",
        ]);
        command.args(["--types", "node", "--typeRoots"]).arg(self.modules.join("@types"));
        let Output { status, stdout, stderr } =
            prepared("compiling", command.args(files).current_dir(directory).output()).await.unwrap();
        let output = [stdout, stderr].concat();
        let lines: Vec<_> = String::from_utf8_lossy(&output).lines().map(str::to_owned).collect();
        if status.success() { Ok(()) } else { Err(lines) }
    }

    /// Starts a compiled file, whose standard output is read.
    pub fn start(&self, file: &Path, socket: &Path) -> Child {
        let mut command = Command::new("node");
        command.arg(file).arg(socket).env("NODE_PATH", &self.modules);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap()
    }
}
