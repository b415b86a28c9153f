//! How long nft's own output takes to read: rules and sets, as text and as JSON.
#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]

use std::fmt::Write;
use std::hint::black_box;

use callgate::netfilter::nft::{json::read_json, text::read_text};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};

fn addresses(count: u32) -> impl Iterator<Item = std::net::Ipv4Addr> {
    (0..count).map(|number| std::net::Ipv4Addr::from(0x0b00_0000 + number * 3))
}

/// A set as nft lists it: two elements a line.
fn set_text(count: u32) -> String {
    let mut text = String::from(
        "table inet filter { # handle 1\n\tset all { # handle 2\n\t\ttype ipv4_addr\n\t\tflags interval\n\t\telements = { ",
    );
    for (index, address) in addresses(count).enumerate() {
        let between = match index {
            0 => "",
            odd if odd % 2 == 1 => ", ",
            _ => ",\n\t\t\t     ",
        };
        let _ = write!(text, "{between}{address}");
    }
    text.push_str(" }\n\t}\n}\n");
    text
}

fn set_json(count: u32) -> String {
    let mut text = String::from(
        "{\"nftables\": [{\"table\": {\"family\": \"inet\", \"name\": \"filter\", \"handle\": 1}}, {\"set\": {\"family\": \"inet\", \"name\": \"all\", \"table\": \"filter\", \"type\": \"ipv4_addr\", \"handle\": 2, \"flags\": [\"interval\"], \"elem\": [",
    );
    for (index, address) in addresses(count).enumerate() {
        let _ = write!(text, "{}\"{address}\"", if index == 0 { "" } else { ", " });
    }
    text.push_str("]}}]}\n");
    text
}

fn rules_text(count: u32) -> String {
    let mut text = String::from(
        "table inet filter { # handle 1\n\tchain input { # handle 1\n\t\ttype filter hook input priority filter; policy drop;\n",
    );
    for (index, address) in addresses(count).enumerate() {
        let _ = writeln!(text, "\t\tip saddr {address} tcp dport 443 accept # handle {}", index + 2);
    }
    text.push_str("\t}\n}\n");
    text
}

fn rules_json(count: u32) -> String {
    let mut text = String::from(
        "{\"nftables\": [{\"table\": {\"family\": \"inet\", \"name\": \"filter\", \"handle\": 1}}",
    );
    for (index, address) in addresses(count).enumerate() {
        let _ = write!(
            text,
            ", {{\"rule\": {{\"family\": \"inet\", \"table\": \"filter\", \"chain\": \"input\", \"handle\": {index}, \"expr\": [{{\"match\": {{\"op\": \"==\", \"left\": {{\"payload\": {{\"protocol\": \"ip\", \"field\": \"saddr\"}}}}, \"right\": \"{address}\"}}}}, {{\"match\": {{\"op\": \"==\", \"left\": {{\"payload\": {{\"protocol\": \"tcp\", \"field\": \"dport\"}}}}, \"right\": 443}}}}, {{\"accept\": null}}]}}}}"
        );
    }
    text.push_str("]}\n");
    text
}

fn bench(criterion: &mut Criterion) {
    let (elements, rules) = (1_000_000, 50_000);
    let texts = [("elements", set_text(elements)), ("rules", rules_text(rules))];
    for (what, text) in &texts {
        criterion.bench_function(&format!("read {what} from text"), |bencher| {
            bencher.iter_batched(|| (), |()| read_text(black_box(text), 0), BatchSize::PerIteration);
        });
    }
    let jsons = [("elements", set_json(elements)), ("rules", rules_json(rules))];
    for (what, text) in &jsons {
        criterion.bench_function(&format!("read {what} from JSON"), |bencher| {
            bencher.iter_batched(|| (), |()| read_json(black_box(text), 0), BatchSize::PerIteration);
        });
    }
}

criterion_group! { name = benches; config = Criterion::default().sample_size(10); targets = bench }
criterion_main!(benches);
