//! Concerns about the site file and the templates.

use std::collections::BTreeSet;

use super::{Concern, Kind, line_of};
use crate::diagnostic::SourceText;
use crate::drift::Mode;
use crate::plain::line;
use crate::review::Side;
use crate::site::{Action, Exception, Selection, Site};

/// What the site and the templates change.
pub(super) fn changed(old: &Side<'_>, new: &Side<'_>, found: &mut Vec<Concern>) {
    if old.site.text.text != new.site.text.text {
        selections(old, new, found);
        exceptions(old.site, new.site, found);
        ports(old.site, new.site, found);
        guardrails(old.site, new.site, found);
    }
    targets(old, new, found);
    templates(old, new, found);
}

/// Providers, roles and environments that the site takes and did not.
fn selections(old: &Side<'_>, new: &Side<'_>, found: &mut Vec<Concern>) {
    for now in &new.site.selections {
        // A provider that no policy described before is a concern of its own.
        if !old.policies.by_provider.contains_key(&now.provider) {
            continue;
        }
        let before = old.site.selections.iter().find(|before| before.provider == now.provider);
        let more = wider(before, now);
        if more.is_empty() {
            continue;
        }
        let message = format!("the site takes of `{}` what it did not: {}", now.provider, more.join(", "));
        let concern = Concern::new(Kind::SelectionWidened, &now.provider, message);
        found.push(at_line(concern, &new.site.text, &["policies:", "roles:", "environments:"]));
    }
}

fn wider(before: Option<&Selection>, now: &Selection) -> Vec<String> {
    let (roles, environments) =
        before.map(|before| (before.roles.clone(), before.environments.clone())).unwrap_or_default();
    let roles = now.roles.difference(&roles).map(|role| format!("role {role}"));
    let environments =
        now.environments.difference(&environments).map(|environment| format!("environment {environment}"));
    roles.chain(environments).collect()
}

/// A concern with the first of these lines that the text has.
fn at_line(concern: Concern, text: &std::sync::Arc<SourceText>, keys: &[&str]) -> Concern {
    let place = keys.iter().map(|key| line_of(text, key)).find(|place| !place.is_empty());
    concern.at(text, place.unwrap_or(0..0))
}

fn exceptions(old: &Site, new: &Site, found: &mut Vec<Concern>) {
    let key = |exception: &Exception| {
        let (verb, instant) = match &exception.action {
            Action::Retire(since) => ("retired from", since),
            Action::HoldUntil(until) => ("held until", until),
        };
        (exception.provider.clone(), exception.source.clone(), verb, instant.to_string())
    };
    let known: BTreeSet<_> = old.exceptions.iter().map(key).collect();
    for exception in &new.exceptions {
        let (provider, source, verb, instant) = key(exception);
        if known.contains(&(provider.clone(), source.clone(), verb, instant.clone())) {
            continue;
        }
        let message = format!("`{provider}/{source}` is {verb} {instant}: {}", line(&exception.reason));
        let concern = Concern::new(Kind::ExceptionAdded, &source, message);
        found.push(concern.at(&new.text, exception.place.clone()));
    }
}

fn ports(old: &Site, new: &Site, found: &mut Vec<Concern>) {
    let more: Vec<String> = new
        .service
        .ports
        .iter()
        .filter(|port| !old.service.ports.contains(port))
        .map(|port| format!("tcp/{port}"))
        .collect();
    if !more.is_empty() {
        let concern =
            Concern::new(Kind::PortAdded, "service", format!("{} is opened as well", more.join(", ")));
        found.push(at_line(concern, &new.text, &["service:"]));
    }
}

fn guardrails(old: &Site, new: &Site, found: &mut Vec<Concern>) {
    let mut tell = |message: String| {
        let concern = Concern::new(Kind::GuardrailLoosened, "guardrails", message);
        found.push(at_line(concern, &new.text, &["guardrails:"]));
    };
    let (was, is) = (old.guardrails.removals, new.guardrails.removals);
    if is.most > was.most {
        tell(format!("one change may take away {} prefixes, and not {}", is.most, was.most));
    }
    if is.share > was.share {
        tell(format!("one change may take away {}, and not {}", is.share, was.share));
    }
    for flow in &old.guardrails.must_stay_open {
        let kept = new.guardrails.must_stay_open.iter().any(|now| {
            (now.port, &now.interface, now.address) == (flow.port, &flow.interface, flow.address)
                && now.from.covers(&flow.from)
        });
        if !kept {
            let from = crate::prefix::listed(&flow.from.to_prefixes(), 3);
            tell(format!("connections from {from} to port {} may be cut", flow.port));
        }
    }
}

fn targets(old: &Side<'_>, new: &Side<'_>, found: &mut Vec<Concern>) {
    for was in old.targets {
        let place = |site: &Site| {
            let settings = site.targets.iter().find(|target| target.name == was.name);
            settings.map_or(0..0, |target| target.node.span.clone())
        };
        let Some(is) = new.targets.iter().find(|target| target.name == was.name) else {
            let message = format!("target `{}` is rendered no more", line(was.name));
            let concern = Concern::new(Kind::TargetRemoved, was.name, message);
            found.push(at_line(concern, &new.site.text, &["targets:"]));
            continue;
        };
        if (was.mode, is.mode) == (Mode::Exclusive, Mode::Permit) {
            let message = format!("target `{}` was exclusive and permits now", line(was.name));
            let concern = Concern::new(Kind::ModePermit, was.name, message);
            found.push(concern.at(&new.site.text, place(new.site)));
        }
    }
}

fn templates(old: &Side<'_>, new: &Side<'_>, found: &mut Vec<Concern>) {
    let (was, is) = (old.templates.overrides(), new.templates.overrides());
    let names: BTreeSet<&String> = was.keys().chain(is.keys()).collect();
    for name in names {
        let verb = match (was.get(name), is.get(name)) {
            (None, Some(_)) => "takes the place of the program's own",
            (Some(_), None) => "is gone, so that the program's own is in force",
            (Some(was), Some(is)) if was != is => "changed",
            (Some(_), Some(_)) | (None, None) => continue,
        };
        let message = format!("template `{}` {verb}", line(name));
        let path = format!("{}{name}", new.template_folder);
        let concern = Concern::new(Kind::TemplateChanged, name, message);
        found.push(concern.at(&SourceText::new(path, String::new()), 0..0));
    }
}
