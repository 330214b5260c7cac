//! The cost of a request with a session's cookie, with ten people and with many, in turns.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::lane::Lane;
use crate::process::LOAD_CORE;
use crate::spread::Spread;

const ROUNDS: usize = 7;
const ROUND_SECONDS: u32 = 2;
const CONNECTIONS: u32 = 64;

/// The results of all rounds of one gateway.
#[derive(Clone, Copy)]
pub struct Requests {
    /// Requests a second.
    pub rate: Spread,
    /// Processor time of the gateway for one, its own and the system's for it, in microseconds.
    pub cpu_us: Spread,
}

/// Asks both gateways, each with its cookies.
pub fn compare(folder: &Path, both: [(&Lane, &Vec<String>); 2]) -> [Requests; 2] {
    let scripts = [0, 1].map(|which| folder.join(format!("cookies-{which}.lua")));
    for (script, (_, cookies)) in scripts.iter().zip(both) {
        fs::write(script, script_of(cookies)).unwrap();
    }
    let mut rounds = [Vec::new(), Vec::new()];
    for round in 0..=ROUNDS {
        for ((script, (lane, _)), rounds) in scripts.iter().zip(both).zip(&mut rounds) {
            let measured = ask(lane, script);
            // The first is to warm up.
            if round > 0 {
                rounds.push(measured);
            }
        }
    }
    rounds.map(|rounds| Requests {
        rate: Spread::of(rounds.iter().map(|(rate, _)| *rate)),
        cpu_us: Spread::of(rounds.iter().map(|(_, cpu)| *cpu)),
    })
}

/// Has each request come with the next cookie.
fn script_of(cookies: &[String]) -> String {
    let mut text = "local requests, next = {}, 0\nlocal cookies = {\n".to_owned();
    for cookie in cookies {
        let _ = writeln!(text, "{cookie:?},");
    }
    text.push_str(
        "}\nfunction init()\n  for at, cookie in ipairs(cookies) do\n    \
         requests[at] = wrk.format(\"GET\", \"/\", { Cookie = cookie, Host = \"localhost\" })\n  end\nend\n\
         function request()\n  next = next % #requests + 1\n  return requests[next]\nend\n",
    );
    text
}

fn ask(lane: &Lane, script: &Path) -> (f64, f64) {
    let before = lane.process.cpu_s();
    let output = Command::new("taskset")
        .args(["-c", LOAD_CORE, "wrk", "-t1"])
        .args([format!("-c{CONNECTIONS}"), format!("-d{ROUND_SECONDS}s"), "-s".to_owned()])
        .arg(script)
        .arg(format!("http://{}/", lane.address))
        .output()
        .unwrap();
    let after = lane.process.cpu_s();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && !text.contains("Non-2xx"), "{text}");
    let number = |mark: &str, before: bool| {
        let (left, right) = text.split_once(mark).unwrap_or_else(|| panic!("no {mark:?} in:\n{text}"));
        let word = if before { left.split_whitespace().last() } else { right.split_whitespace().next() };
        word.unwrap().parse::<f64>().unwrap()
    };
    let used = (after.0 - before.0) + (after.1 - before.1);
    (number("Requests/sec:", false), used * 1e6 / number(" requests in ", true))
}
