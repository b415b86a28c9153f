//! Any bytes: a configuration, or what `nginx -T` prints, is read or refused, and what was read can be asked.

#![no_main]

use callgate::admission::{Layer as _, Question};
use callgate::nginx::evaluate::Asked;
use callgate::nginx::{Files, Request, read};
use libfuzzer_sys::fuzz_target;

#[expect(dead_code, reason = "some of it is for the rules of hosts")]
mod asked;

fuzz_target!(|bytes: &[u8]| {
    let text = &*String::from_utf8_lossy(bytes);
    let files = match Files::of_dump(text) {
        Some(Ok(files)) => files,
        Some(Err(_)) => return,
        None => Files::single("nginx.conf", text),
    };
    let config = match read(&files) {
        Ok(config) => config,
        Err(error) => {
            assert!(!error.message.is_empty() && !error.help.is_empty());
            return;
        }
    };
    let dice = bytes.iter().fold(7_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(*byte)));
    let request = Request {
        server_name: (dice % 2 == 0).then(|| "a.example".to_owned()),
        path: ["/", "/callback", "/callback/x.php?a=1", "/a%2f../b"][dice % 4].to_owned(),
        method: (dice % 3 == 0).then(|| "POST".to_owned()),
        headers: vec![("X-Forwarded-For".to_owned(), "192.0.2.1".to_owned())],
        proxy: (dice % 5 == 0).then(|| [192, 0, 2, 9].into()),
    };
    let question =
        Question { port: 80, interface: None, addresses: Vec::new(), at: jiff::Timestamp::UNIX_EPOCH };
    let Ok(layer) = Asked::new(&config, &files, &request) else { return };
    let answer = layer.admit(&question);
    asked::parts(&answer);
    for rule in answer.decided.iter().filter_map(|one| one.rule) {
        assert!(!layer.describe(rule).title.is_empty());
    }
    asked::alone(&layer, &question, &answer);
});
