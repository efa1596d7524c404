//! What others make of the OpenAPI document: it is valid, and the clients that are generated from it work against a server.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking, its helpers too")]

use std::path::{Path, PathBuf};
use std::process::Command;

use agentcafe_testkit::{SHARED_TOKEN, Value};
use tempfile::TempDir;

use crate::launch;

/// The document, from which the clients are generated.
const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");
/// The programs that use the generated clients.
const PROGRAMS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients");

/// The directory of tools that `test.sh` installs under this name.
fn tools(name: &str) -> PathBuf {
    let target = Path::new(env!("CARGO_BIN_EXE_agentcafe")).ancestors().nth(2).unwrap();
    let tools = target.join(name);
    assert!(tools.exists(), "{} is missing; ./test.sh installs it", tools.display());
    tools
}

/// A program that finds the tools for Python, and Node.js, which is one of them.
fn tool(program: PathBuf) -> Command {
    let path = format!("{}:{}", tools("python-tools/bin").display(), std::env::var("PATH").unwrap());
    let mut command = Command::new(program);
    command.env("PATH", path).env("NO_COLOR", "1").env("REDOCLY_TELEMETRY", "off");
    command.env("REDOCLY_SUPPRESS_UPDATE_NOTICE", "true");
    for proxy in ["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"] {
        command.env_remove(proxy);
    }
    command
}

/// A tool for Python.
pub(crate) fn python_tool(name: &str) -> Command {
    tool(tools("python-tools/bin").join(name))
}

/// A tool for JavaScript.
fn node_tool(name: &str) -> Command {
    tool(tools("node-tools/node_modules/.bin").join(name))
}

/// Runs a command in a directory. It must succeed.
async fn run(directory: &TempDir, mut command: Command, arguments: &[&str]) -> String {
    command.args(arguments).current_dir(directory.path());
    let what = format!("{command:?}");
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let said =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(output.status.success(), "{what}: {}\n{said}", output.status);
    said
}

/// Runs a program against a server of its own. It ends with this line if all it checks holds.
async fn drive(directory: &TempDir, program: Command, arguments: &[&str]) {
    let server = launch().with_shared_token().env("WEBHOOK_ALLOW_PRIVATE_TARGETS", true).start().await;
    let url = server.url();
    let said = run(directory, program, &[arguments, &[&url, SHARED_TOKEN]].concat()).await;
    assert!(said.contains("all of it works"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn openapi_document_is_valid_and_follows_the_rules_of_a_linter() {
    let directory = TempDir::new().unwrap();
    let said = run(&directory, python_tool("openapi-spec-validator"), &[DOCUMENT]).await;
    assert!(said.contains("OK"), "{said}");
    let said = run(&directory, node_tool("redocly"), &["lint", "--extends=recommended", DOCUMENT]).await;
    assert!(said.contains("valid") && !said.contains("warning"), "{said}");
}

/// By the schema that the authors of AsyncAPI have for such documents.
#[test]
fn asyncapi_document_is_valid() {
    let schema = tools("node-tools/node_modules/@asyncapi/specs/schemas/3.0.0-without-$id.json");
    let [schema, document] = [schema, PathBuf::from(DOCUMENT.replace("openapi", "asyncapi"))]
        .map(|file| serde_json::from_slice::<Value>(&std::fs::read(file).unwrap()).unwrap());
    let validator = jsonschema::validator_for(&schema).unwrap();
    let faults: Vec<String> = validator.iter_errors(&document).map(|error| error.to_string()).collect();
    assert!(faults.is_empty(), "{faults:#?}");
}

/// Checks the types of a program, and runs it.
async fn drive_python(directory: &TempDir, program: &str) {
    let program = format!("{PROGRAMS}/{program}");
    let mut check = python_tool("mypy");
    check.env("MYPYPATH", directory.path());
    let strict = ["--strict", "--follow-imports=silent", "--cache-dir=mypy", &program];
    run(directory, check, &strict).await;
    let mut python = python_tool("python");
    python.env("PYTHONPATH", directory.path()).env("PYTHONDONTWRITEBYTECODE", "1");
    drive(directory, python, &[&program]).await;
}

/// Nothing of the document is left out of the client.
#[tokio::test(flavor = "multi_thread")]
async fn python_client_is_typed_and_works() {
    let directory = TempDir::new().unwrap();
    let config = format!("{PROGRAMS}/openapi_python_client.yaml");
    let generate = ["generate", "--fail-on-warning", "--meta=none", "--output-path=agentcafe_client"];
    let of = ["--path", DOCUMENT, "--config", &config];
    run(&directory, python_tool("openapi-python-client"), &[&generate[..], &of].concat()).await;
    drive_python(&directory, "python_client.py").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn python_models_are_typed_and_work() {
    let directory = TempDir::new().unwrap();
    let generate = [
        "--input",
        DOCUMENT,
        "--input-file-type=openapi",
        "--output=agentcafe_models.py",
        "--output-model-type=pydantic_v2.BaseModel",
        "--target-python-version=3.11",
        "--use-annotated",
        "--formatters=builtin",
    ];
    run(&directory, python_tool("datamodel-codegen"), &generate).await;
    drive_python(&directory, "datamodel_client.py").await;
}

/// Compiles a program, which checks its types, and runs it.
async fn drive_typescript(directory: &TempDir, program: &str) {
    std::os::unix::fs::symlink(tools("node-tools/node_modules"), directory.path().join("node_modules"))
        .unwrap();
    let source = format!("{program}.ts");
    std::fs::copy(format!("{PROGRAMS}/{source}"), directory.path().join(&source)).unwrap();
    let strict =
        ["--strict", "--noEmitOnError", "--skipLibCheck", "--target", "es2022", "--module", "nodenext"];
    run(directory, node_tool("tsc"), &[&strict[..], &[&source]].concat()).await;
    drive(directory, python_tool("node"), &[&format!("{program}.js")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn typescript_types_are_right_and_work() {
    let directory = TempDir::new().unwrap();
    run(&directory, node_tool("openapi-typescript"), &[DOCUMENT, "--output", "openapi.d.ts"]).await;
    drive_typescript(&directory, "typescript_client").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn typescript_client_is_typed_and_works() {
    let directory = TempDir::new().unwrap();
    let generate = ["--input", DOCUMENT, "--output", "hey", "--client", "@hey-api/client-fetch"];
    run(&directory, node_tool("openapi-ts"), &generate).await;
    drive_typescript(&directory, "hey_api_client").await;
}
