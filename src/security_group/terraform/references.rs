//! What an expression of the configuration names, where a plan does not know its value yet.
//!
//! A plan lists the references of each expression, never the expression. One reference to `….id` is taken to be
//! the value; of several, nobody can say which one becomes it.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::address::{Address, Step, index_len, module_step};
use super::json::ConfiguredModule;

/// How far a value is followed through variables and outputs.
const HOPS_MAX: usize = 64;

/// The configuration, ready to be asked.
pub(super) struct Configured<'a> {
    root: ConfiguredModule<'a>,
    /// Blocks that were looked into, by where their text starts.
    known: RefCell<HashMap<usize, Rc<Block>>>,
}

/// The arguments of a block; of each what it refers to, or `None` where it isn't one expression.
type Block = HashMap<String, Option<Vec<String>>>;

/// What is referred to by an expression; absent where it is a constant.
#[derive(Deserialize, Default)]
struct Expression<'a> {
    #[serde(borrow, default)]
    references: Vec<Cow<'a, str>>,
}

/// The modules around an expression, outermost first, and their names in addresses.
#[derive(Clone)]
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

    /// Goes one module up, and gives what is passed to the one that is left.
    fn leave(&mut self) -> Option<&'c RawValue> {
        let step = format!("{}.", self.steps.pop()?);
        self.modules.pop()?;
        let (step, _) = module_step(&step)?;
        self.module()?.module_calls.get(step.name)?.expressions
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
        Self { root, known: RefCell::default() }
    }

    /// Whether a resource's block has this argument. Dynamic blocks are not told.
    pub(super) fn sets(&self, address: &str, argument: &str) -> bool {
        self.resource(address).is_some_and(|(_, block)| block.contains_key(argument))
    }

    /// Whether a resource's block is there.
    pub(super) fn has(&self, address: &str) -> bool {
        self.resource(address).is_some()
    }

    /// The address of the resource whose `id` is the value of this argument, if the value is one's id.
    pub(super) fn id_of(&self, address: &str, argument: &str) -> Option<String> {
        let (scope, block) = self.resource(address)?;
        let [only] = block.get(argument)?.as_deref()? else { return None };
        self.follow(scope, only)
    }

    /// The addresses of all resources whose `id` this argument has; `None` where it has something else as well.
    pub(super) fn ids_of(&self, address: &str, argument: &str) -> Option<Vec<String>> {
        let (scope, block) = self.resource(address)?;
        let named = block.get(argument)?.as_deref()?;
        named.iter().map(|one| self.follow(scope.clone(), one)).collect()
    }

    /// The addresses that this argument refers to, each without its `id`.
    pub(super) fn named_by(&self, address: &str, argument: &str) -> HashSet<String> {
        let Some((scope, block)) = self.resource(address) else { return HashSet::new() };
        let named = block.get(argument).and_then(|named| named.as_deref()).unwrap_or_default();
        named.iter().map(|one| scope.address(one.strip_suffix(".id").unwrap_or(one))).collect()
    }

    fn resource(&self, address: &str) -> Option<(Scope<'_, 'a>, Rc<Block>)> {
        let address = Address::read(address);
        let mut scope = Scope { modules: vec![&self.root], steps: Vec::new() };
        for step in &address.modules {
            scope.enter(*step)?;
        }
        let resources = &scope.module()?.resources;
        let at = resources.binary_search_by(|resource| (*resource.address).cmp(address.base)).ok()?;
        let block = self.block(resources.get(at)?.expressions);
        Some((scope, block))
    }

    /// The arguments of a block.
    fn block(&self, raw: Option<&RawValue>) -> Rc<Block> {
        let Some(raw) = raw else { return Rc::default() };
        let start = raw.get().as_ptr().addr();
        if let Some(known) = self.known.borrow().get(&start) {
            return Rc::clone(known);
        }
        let arguments: HashMap<String, &RawValue> = serde_json::from_str(raw.get()).unwrap_or_default();
        let read = |(name, raw)| (name, read_expression(raw).map(|found| named(&found)));
        let block = Rc::new(arguments.into_iter().map(read).collect::<Block>());
        self.known.borrow_mut().insert(start, Rc::clone(&block));
        block
    }

    /// Follows one reference through variables and outputs to a resource's `id`.
    fn follow(&self, mut scope: Scope<'_, '_>, reference: &str) -> Option<String> {
        let mut reference = reference.to_owned();
        for _ in 0..HOPS_MAX {
            let next = if let Some(variable) = reference.strip_prefix("var.") {
                self.block(scope.leave()).get(variable)?.clone()?
            } else if reference.starts_with("module.") {
                let (step, output) = module_step(&reference)?;
                scope.enter(step)?;
                named(&read_expression(scope.module()?.outputs.get(output)?.expression?)?)
            } else {
                return resource_of(&reference).map(|local| scope.address(local));
            };
            let [only] = next.as_slice() else { return None };
            reference.clone_from(only);
        }
        None
    }
}

/// Puts the resources of all modules in the order of their addresses.
fn sort(module: &mut ConfiguredModule<'_>) {
    module.resources.sort_by(|one, other| one.address.cmp(&other.address));
    module.module_calls.values_mut().for_each(|call| sort(&mut call.module));
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
fn named(expression: &Expression<'_>) -> Vec<String> {
    let mut sorted: Vec<&str> = expression.references.iter().map(AsRef::as_ref).collect();
    sorted.sort_unstable();
    sorted.dedup();
    let begins =
        |one: &str, next: &str| next.strip_prefix(one).is_some_and(|rest| rest.starts_with(['.', '[']));
    // What begins with a reference comes right after it, or after others that do.
    let is_whole = |at: usize, one: &str| {
        let mut following = sorted.iter().skip(at.saturating_add(1)).take_while(|next| next.starts_with(one));
        !following.any(|next| begins(one, next))
    };
    let whole = sorted.iter().enumerate().filter(|(at, one)| is_whole(*at, one));
    whole.map(|(_, one)| (*one).to_owned()).collect()
}

fn read_expression(raw: &RawValue) -> Option<Expression<'_>> {
    serde_json::from_str(raw.get()).ok()
}
