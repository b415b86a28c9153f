//! How long the library takes from policy text to artifacts; whole processes are `scripts/bench-peers`.
#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]

use std::hint::black_box;
use std::sync::Arc;

use callgate::allowlist::resolve;
use callgate::diagnostic::{Diagnostics, SourceText};
use callgate::policy::load::Policies;
use callgate::policy::validate::{Lists, parse_raw, validate};
use callgate::site::{self, BUILT_IN, BUILT_IN_NAME};
use callgate::target::template::Templates;
use callgate::target::{Target, build};
use criterion::{Criterion, criterion_group, criterion_main};

/// A policy of one source with `count` single addresses.
fn text(count: u32) -> Arc<SourceText> {
    let mut text = String::from(
        "schema: 1\nprovider: bench\nname: Bench\nrevision: 1\nservice: { protocol: tcp, ports: [443] }\n\
         pages:\n  docs: { url: \"https://example.com/\", kind: text }\nsources:\n  - id: all\n    evidence: [{ page: docs, read: 2026-01-01 }]\n    prefixes:\n",
    );
    for number in 0..count {
        let address = std::net::Ipv4Addr::from(0x1400_0000 + number * 2);
        text.push_str(&format!("      - {address}\n"));
    }
    SourceText::new("bench.yaml", text)
}

fn load(text: &Arc<SourceText>) -> Policies {
    let mut sink = Diagnostics::new();
    let policy = parse_raw(text, &mut sink)
        .and_then(|raw| validate(raw, text, &Lists::new(), jiff::Timestamp::UNIX_EPOCH, &mut sink));
    let mut policies = Policies::default();
    policies.by_provider.extend(policy.map(|policy| (policy.provider.to_string(), policy)));
    assert!(!sink.has_errors() && policies.by_provider.len() == 1);
    policies
}

fn bench(criterion: &mut Criterion) {
    for count in [12, 10_000] {
        let text = text(count);
        criterion.bench_function(&format!("read and check a policy of {count}"), |bencher| {
            bencher.iter(|| load(black_box(&text)));
        });
        let policies = load(&text);
        let mut sink = Diagnostics::new();
        let site = site::read(&SourceText::new(BUILT_IN_NAME, BUILT_IN.to_owned()), &policies, &mut sink);
        let Some(site) = site else { return };
        let targets: Vec<Box<dyn Target>> =
            site.targets.iter().filter_map(|target| build(target, &site, &mut sink)).collect();
        let allowlist = resolve(&policies, &site, jiff::Timestamp::UNIX_EPOCH, &mut sink);
        criterion.bench_function(&format!("render {count} to five targets"), |bencher| {
            let templates = Templates::default();
            bencher.iter(|| {
                targets.iter().all(|target| target.render(black_box(&allowlist), &templates).is_ok())
            });
        });
    }
}

criterion_group!(benches, bench);
criterion_main!(benches);
