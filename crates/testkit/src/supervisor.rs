//! Server processes of other programs (PostgreSQL, Redis), and ports for them.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

/// Starts a server and obeys orders. It ends the server when its input ends, which is however the test process ends. The script
/// before it defines `prepare`, `launch`, which becomes the server, `is_ready`, and `$END`, the signal at the end.
const SCRIPT: &str = r#"
children() { cat "/proc/$server/task/$server/children"; }
fail() { cat "$DATA.log"; exit 1; }
start() {
    launch >>"$DATA.log" 2>&1 &
    server=$!
    until is_ready >/dev/null 2>&1; do
        kill -0 $server 2>/dev/null || fail
        sleep 0.02
    done
}
stop() {
    [ -n "$server" ] || return
    kill "$1" $server
    kill -CONT $server
    wait $server
    server=
}
mkdir -p "$DATA"
prepare >"$DATA.log" 2>&1 || fail
start
echo ready
while read -r order; do
    case $order in
        start) start ;;
        wipe) rm -rf "${DATA:?}"/* ;;
        freeze) kill -STOP $server; kill -STOP $(children) ;;
        thaw) kill -CONT $(children); kill -CONT $server ;;
        -KILL)
            all=$(children)
            stop -KILL
            kill -KILL $all
            for one in $all; do while [ -e "/proc/$one" ]; do sleep 0.01; done; done ;;
        -*) stop "$order" ;;
    esac
    echo ready
done
kill -CONT $(children)
stop "$END"
rm -rf "$DATA" "$DATA.log"
"#;

/// The shell that runs a server. Dropping it ends the server and removes its data.
#[derive(Debug)]
pub(crate) struct Supervisor {
    shell: Mutex<Child>,
}

impl Supervisor {
    /// Runs a server on this port, with this directory, which is made. `prefix` is what runs the shell: nothing, or a program that
    /// changes the user.
    ///
    /// # Panics
    /// If the server does not start.
    pub(crate) fn start(
        prefix: &[&str],
        script: &str,
        data: &Path,
        port: u16,
        environment: &[(&str, &str)],
    ) -> Self {
        let script = format!("{script}{SCRIPT}");
        let arguments = prefix.iter().copied().chain(["sh", "-c", &script]).collect::<Vec<_>>();
        let mut shell = Command::new(arguments[0])
            .args(&arguments[1..])
            .env("DATA", data)
            .env("PORT", port.to_string())
            .envs(environment.iter().copied())
            .current_dir("/tmp")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell can be started");
        wait_until_done(&mut shell);
        Self { shell: Mutex::new(shell) }
    }

    /// Carries out an order, `start`, `wipe`, `freeze`, `thaw`, or a signal that ends the server (`-KILL`), and waits until it is
    /// done.
    pub(crate) fn order(&self, order: &str) {
        let mut shell = self.shell.lock().expect("nobody panics while holding it");
        writeln!(shell.stdin.as_mut().expect("its input is piped"), "{order}").expect("the shell runs");
        wait_until_done(&mut shell);
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        if let Ok(shell) = self.shell.get_mut() {
            drop(shell.stdin.take());
            let _ = shell.wait();
        }
    }
}

fn wait_until_done(shell: &mut Child) {
    let mut answer = [0; 6];
    let output = shell.stdout.as_mut().expect("its output is piped");
    let is_done = output.read_exact(&mut answer).is_ok() && &answer == b"ready\n";
    assert!(is_done, "a server did not start (./test.sh installs it): {}", {
        let mut log = String::from_utf8_lossy(&answer).into_owned();
        let _ = output.read_to_string(&mut log);
        log
    });
}

/// The range of [`steady_port`]: below the ports that Linux gives to outgoing connections (32768 and up).
const PORTS: std::ops::Range<u32> = 18_000..32_000;

/// A port that is free and stays free while nobody listens on it, for a server that is restarted. No other call in this process
/// returns it, and the system does not assign it.
///
/// # Panics
/// If all of them are taken.
#[must_use]
pub fn steady_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Other test processes begin elsewhere; a prime spreads those with successive ids.
    let begin = std::process::id().wrapping_mul(7_919);
    let size = PORTS.end - PORTS.start;
    let ports = (0..size).map(|_| {
        let number = begin.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        u16::try_from(PORTS.start + number % size).expect("the range is one of ports")
    });
    let mut free = ports.filter(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok());
    free.next().expect("this machine has a free port")
}
