//! What an expression of the configuration names, where a plan does not know its value yet.
//!
//! A plan lists the references of each expression, never the expression. One reference to `….id` is taken to be
//! the value; of several, nobody can say which one becomes it.

use std::borrow::Cow;
use std::collections::HashMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::address::{Address, Step, index_len, module_step};
use super::json::{ConfiguredModule, ConfiguredResource};

/// How far a value is followed through variables and outputs.
const HOPS_MAX: usize = 64;

/// The configuration, ready to be asked.
pub(super) struct Configured<'a> {
    root: ConfiguredModule<'a>,
}

/// What is referred to by an expression; absent where it is a constant.
#[derive(Deserialize, Default)]
struct Expression<'a> {
    #[serde(borrow, default)]
    references: Vec<Cow<'a, str>>,
}

/// The modules around an expression, outermost first, and their names in addresses.
struct Scope<'c, 'a> {
    modules: Vec<&'c ConfiguredModule<'a>>,
    steps: Vec<String>,
}

impl<'c, 'a> Scope<'c, 'a> {
    fn module(&self) -> Option<&'c ConfiguredModule<'a>> {
        self.modules.last().copied()
    }

    fn enter(&mut self, step: Step<'_>) -> Option<()> {
        let call = self.module()?.module_calls.get(step.name)?;
        self.modules.push(&call.module);
        self.steps.push(step.text.to_owned());
        Some(())
    }

    /// Goes one module up, and gives what is passed to a variable of the one that is left.
    fn leave(&mut self, variable: &str) -> Option<Vec<String>> {
        let step = self.steps.pop()?;
        self.modules.pop()?;
        let name = module_step(&format!("{step}.")).map(|(step, _)| step.name.to_owned())?;
        let call = self.module()?.module_calls.get(name.as_str())?;
        references(call.expressions, variable)
    }

    /// The address of something in the innermost module.
    fn address(&self, local: &str) -> String {
        let mut address = self.steps.join(".");
        if !address.is_empty() {
            address.push('.');
        }
        address + local
    }
}

impl<'a> Configured<'a> {
    pub(super) fn new(mut root: ConfiguredModule<'a>) -> Self {
        sort(&mut root);
        Self { root }
    }

    /// Whether a resource's block has this argument.
    pub(super) fn sets(&self, address: &str, argument: &str) -> bool {
        let Some((_, resource)) = self.resource(address) else { return false };
        expressions(resource.expressions).contains_key(argument)
    }

    /// Whether a resource's block is there.
    pub(super) fn has(&self, address: &str) -> bool {
        self.resource(address).is_some()
    }

    /// The address of the resource whose `id` is the value of this argument, if the value is one's id.
    pub(super) fn id_of(&self, address: &str, argument: &str) -> Option<String> {
        let (scope, resource) = self.resource(address)?;
        let named = named(&references(resource.expressions, argument)?);
        let [only] = named.as_slice() else { return None };
        follow(scope, only)
    }

    /// The addresses of all resources whose `id` this argument has; `None` where it has something else as well.
    pub(super) fn ids_of(&self, address: &str, argument: &str) -> Option<Vec<String>> {
        let (_, resource) = self.resource(address)?;
        let named = named(&references(resource.expressions, argument)?);
        named.iter().map(|one| follow(self.resource(address)?.0, one)).collect()
    }

    /// Whether this argument names a resource, or some of its instances.
    pub(super) fn names(&self, address: &str, argument: &str, resource: &str) -> bool {
        let Some((scope, block)) = self.resource(address) else { return false };
        let listed = references(block.expressions, argument).unwrap_or_default();
        let wanted = Address::read(resource);
        listed.iter().any(|reference| {
            let reference = scope.address(reference.strip_suffix(".id").unwrap_or(reference));
            let found = Address::read(&reference);
            found.modules == wanted.modules
                && found.base == wanted.base
                && (found.index.is_empty() || found.index == wanted.index)
        })
    }

    /// Whether this argument names an attribute of a resource.
    pub(super) fn names_part(&self, address: &str, argument: &str, resource: &str) -> bool {
        let Some((scope, block)) = self.resource(address) else { return false };
        let listed = references(block.expressions, argument).unwrap_or_default();
        listed.iter().any(|reference| scope.address(reference) == resource)
    }

    fn resource(&self, address: &str) -> Option<(Scope<'_, 'a>, &ConfiguredResource<'a>)> {
        let address = Address::read(address);
        let mut scope = Scope { modules: vec![&self.root], steps: Vec::new() };
        for step in &address.modules {
            scope.enter(*step)?;
        }
        let resources = &scope.module()?.resources;
        let at = resources.binary_search_by(|resource| (*resource.address).cmp(address.base)).ok()?;
        Some((scope, resources.get(at)?))
    }
}

/// Puts the resources of all modules in the order of their addresses.
fn sort(module: &mut ConfiguredModule<'_>) {
    module.resources.sort_by(|one, other| one.address.cmp(&other.address));
    module.module_calls.values_mut().for_each(|call| sort(&mut call.module));
}

/// Follows one reference through variables and outputs to a resource's `id`.
fn follow(mut scope: Scope<'_, '_>, reference: &str) -> Option<String> {
    let mut reference = reference.to_owned();
    for _ in 0..HOPS_MAX {
        let next = if let Some(variable) = reference.strip_prefix("var.") {
            scope.leave(variable)?
        } else if reference.starts_with("module.") {
            let (step, output) = module_step(&reference)?;
            scope.enter(step)?;
            let output = scope.module()?.outputs.get(output)?;
            read_expression(output.expression?)?.references.into_iter().map(Cow::into_owned).collect()
        } else {
            return resource_of(&reference).map(|local| scope.address(local));
        };
        let named = named(&next);
        let [only] = named.as_slice() else { return None };
        reference.clone_from(only);
    }
    None
}

/// What `aws_security_group.web[0].id` is the id of.
fn resource_of(reference: &str) -> Option<&str> {
    let local = reference.strip_suffix(".id")?;
    let (kind, rest) = local.split_once('.')?;
    let name_len = rest.find(['.', '[']).unwrap_or(rest.len());
    let index = rest.get(name_len..)?;
    let managed = !matches!(kind, "data" | "var" | "local" | "module" | "each" | "count" | "self" | "path");
    (managed && index_len(index)? == index.len()).then_some(local)
}

/// The references that aren't only the beginning of another: Terraform lists `a.b.c`, and `a.b` as well.
fn named(references: &[String]) -> Vec<String> {
    let mut sorted: Vec<&String> = references.iter().collect();
    // What begins with a reference comes right after it, or after others that do.
    sorted.sort_unstable();
    sorted.dedup();
    let begins = |one: &String, next: &String| {
        next.strip_prefix(one.as_str()).is_some_and(|rest| rest.starts_with(['.', '[']))
    };
    let last = |at: usize, one: &String| {
        let mut following =
            sorted.iter().skip(at.saturating_add(1)).take_while(|next| next.starts_with(one.as_str()));
        !following.any(|next| begins(one, next))
    };
    sorted.iter().enumerate().filter(|(at, one)| last(*at, one)).map(|(_, one)| (*one).clone()).collect()
}

/// The arguments of a block, unread.
fn expressions(raw: Option<&RawValue>) -> HashMap<String, &RawValue> {
    raw.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
}

/// What an argument of a block refers to; `None` where it isn't there, or isn't one expression.
fn references(raw: Option<&RawValue>, argument: &str) -> Option<Vec<String>> {
    let expression = read_expression(expressions(raw).remove(argument)?)?;
    Some(expression.references.into_iter().map(Cow::into_owned).collect())
}

fn read_expression(raw: &RawValue) -> Option<Expression<'_>> {
    serde_json::from_str(raw.get()).ok()
}
