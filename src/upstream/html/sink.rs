//! The tree of an HTML page, as the parser builds it: a node knows the line it stands on.
//!
//! Attributes that nobody looks at, comments and processing instructions are not kept. The parser can't be told to stop, so
//! that whoever feeds it looks at [`Sink::excess`] between pieces.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};

use html5ever::interface::{ElemName, ElementFlags, NodeOrText, QuirksMode, TreeSink};
use html5ever::tendril::StrTendril;
use html5ever::{Attribute, LocalName, Namespace, QualName, local_name, ns};

/// Elements are nested at most so deep.
const DEPTH_MAX: u32 = 512;
/// A page has at most so many nodes.
const NODES_MAX: usize = 600_000;

/// The attributes that are looked at.
const KEPT: &[&str] = &[
    "class",
    "colspan",
    "content",
    "hidden",
    "href",
    "http-equiv",
    "id",
    "label",
    "rel",
    "role",
    "rowspan",
    "style",
    "title",
];

/// A node's place in the tree.
pub(super) type Id = usize;

/// A node.
#[derive(Debug)]
pub(super) struct Node {
    /// What it is.
    pub(super) data: Data,
    /// What it holds, in order.
    pub(super) children: Vec<Id>,
    parent: Option<Id>,
    depth: u32,
}

/// What a node is.
#[derive(Debug)]
pub(super) enum Data {
    /// The document, or a part of it that is not shown.
    Root,
    /// An element, with its attributes that matter.
    Element(QualName, Vec<(String, String)>),
    /// Text: parts of it with the line at which each starts.
    Text(Vec<(u32, String)>),
    /// A comment or an instruction.
    Other,
}

/// The tree as it grows.
pub(super) struct Sink {
    nodes: RefCell<Vec<Node>>,
    names: RefCell<Vec<QualName>>,
    line: Cell<u32>,
    deepest: Cell<u32>,
    ending: Cell<bool>,
    unfinished: Cell<bool>,
}

/// The tree, grown.
pub(super) struct Tree {
    /// All nodes; the document is the first.
    pub(super) nodes: Vec<Node>,
    /// Whether the text ended within an element that has to be closed, or within a tag.
    pub(super) unfinished: bool,
}

impl Tree {
    /// A node.
    pub(super) fn node(&self, id: Id) -> Option<&Node> {
        self.nodes.get(id)
    }
}

impl Node {
    /// The name of an element of HTML; empty for anything else.
    pub(super) fn name(&self) -> &str {
        match &self.data {
            Data::Element(name, _) if name.ns == ns!(html) => &name.local,
            Data::Element(name, _) if name.ns == ns!(svg) => "svg",
            Data::Element(..) => "math",
            Data::Root | Data::Text(_) | Data::Other => "",
        }
    }

    /// An attribute's value.
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        match &self.data {
            Data::Element(_, attributes) => {
                attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
            }
            Data::Root | Data::Text(_) | Data::Other => None,
        }
    }
}

/// An element's name, owned: nothing stays borrowed while the tree grows.
#[derive(Debug)]
pub(super) struct Name(QualName);

impl ElemName for Name {
    fn ns(&self) -> &Namespace {
        &self.0.ns
    }

    fn local_name(&self) -> &LocalName {
        &self.0.local
    }
}

impl Sink {
    /// A document without anything.
    pub(super) fn new() -> Self {
        let root = Node { data: Data::Root, children: Vec::new(), parent: None, depth: 0 };
        Self {
            nodes: RefCell::new(vec![root]),
            names: RefCell::new(vec![QualName::new(None, ns!(), local_name!(""))]),
            line: Cell::new(1),
            deepest: Cell::new(0),
            ending: Cell::new(false),
            unfinished: Cell::new(false),
        }
    }

    /// What is too much, where anything is.
    pub(super) fn excess(&self) -> Option<String> {
        if self.deepest.get() > DEPTH_MAX {
            return Some(format!("elements are nested more than {DEPTH_MAX} deep"));
        }
        let many = self.nodes.borrow().len() > NODES_MAX;
        many.then(|| format!("the page has more than {NODES_MAX} elements and texts"))
    }

    /// From here on what is wrong is wrong because the text has ended.
    pub(super) fn end_begins(&self) {
        self.ending.set(true);
    }

    fn add(&self, data: Data, name: QualName) -> Id {
        let mut nodes = self.nodes.borrow_mut();
        nodes.push(Node { data, children: Vec::new(), parent: None, depth: 0 });
        self.names.borrow_mut().push(name);
        nodes.len() - 1
    }

    /// The line at which text starts: the parser tells the one at which it ends.
    fn starts(&self, text: &str) -> u32 {
        let breaks = text.bytes().filter(|byte| *byte == b'\n').count();
        self.line.get().saturating_sub(u32::try_from(breaks).unwrap_or(0)).max(1)
    }

    fn unnamed() -> QualName {
        QualName::new(None, ns!(), local_name!(""))
    }

    /// Puts a node or text into `parent`, before the child at `at`, or last.
    fn put(&self, parent: Id, at: Option<usize>, child: NodeOrText<Id>) {
        let child = match child {
            NodeOrText::AppendNode(id) => id,
            NodeOrText::AppendText(text) => match self.text_before(parent, at) {
                Some(id) => return self.write(id, &text),
                None => self.add(Data::Text(vec![(self.starts(&text), text.to_string())]), Self::unnamed()),
            },
        };
        self.detach(child);
        let mut nodes = self.nodes.borrow_mut();
        let depth = nodes.get(parent).map_or(0, |node| node.depth).saturating_add(1);
        self.deepest.set(self.deepest.get().max(depth));
        if let Some(node) = nodes.get_mut(child) {
            node.parent = Some(parent);
            node.depth = depth;
        }
        if let Some(node) = nodes.get_mut(parent) {
            let at = at.unwrap_or(node.children.len()).min(node.children.len());
            node.children.insert(at, child);
        }
    }

    /// The text node that text put there would continue.
    fn text_before(&self, parent: Id, at: Option<usize>) -> Option<Id> {
        let nodes = self.nodes.borrow();
        let children = &nodes.get(parent)?.children;
        let before = at.unwrap_or(children.len()).checked_sub(1)?;
        let id = *children.get(before)?;
        matches!(nodes.get(id)?.data, Data::Text(_)).then_some(id)
    }

    fn write(&self, id: Id, text: &str) {
        let mut nodes = self.nodes.borrow_mut();
        if let Some(Node { data: Data::Text(parts), .. }) = nodes.get_mut(id) {
            let start = self.starts(text);
            match parts.last_mut() {
                Some((line, known)) if *line == start && !known.contains('\n') => known.push_str(text),
                _ => parts.push((start, text.to_owned())),
            }
        }
    }

    fn detach(&self, id: Id) {
        let mut nodes = self.nodes.borrow_mut();
        let Some(parent) = nodes.get_mut(id).and_then(|node| node.parent.take()) else { return };
        if let Some(parent) = nodes.get_mut(parent) {
            // What is moved was mostly put last.
            if let Some(at) = parent.children.iter().rposition(|child| *child == id) {
                parent.children.remove(at);
            }
        }
    }
}

impl TreeSink for Sink {
    type Handle = Id;
    type Output = Tree;
    type ElemName<'a> = Name;

    fn finish(self) -> Tree {
        Tree { nodes: self.nodes.into_inner(), unfinished: self.unfinished.get() }
    }

    fn parse_error(&self, _message: Cow<'static, str>) {
        if self.ending.get() {
            self.unfinished.set(true);
        }
    }

    fn get_document(&self) -> Id {
        0
    }

    fn elem_name<'a>(&'a self, target: &'a Id) -> Name {
        Name(self.names.borrow().get(*target).cloned().unwrap_or_else(Self::unnamed))
    }

    fn create_element(&self, name: QualName, attributes: Vec<Attribute>, _flags: ElementFlags) -> Id {
        let kept = attributes.into_iter().filter(|one| KEPT.contains(&&*one.name.local));
        let kept = kept.map(|one| (one.name.local.to_string(), one.value.to_string())).collect();
        self.add(Data::Element(name.clone(), kept), name)
    }

    fn create_comment(&self, _text: StrTendril) -> Id {
        self.add(Data::Other, Self::unnamed())
    }

    fn create_pi(&self, _target: StrTendril, _data: StrTendril) -> Id {
        self.add(Data::Other, Self::unnamed())
    }

    fn append(&self, parent: &Id, child: NodeOrText<Id>) {
        self.put(*parent, None, child);
    }

    fn append_based_on_parent_node(&self, element: &Id, previous: &Id, child: NodeOrText<Id>) {
        let has_parent = self.nodes.borrow().get(*element).is_some_and(|node| node.parent.is_some());
        if has_parent { self.append_before_sibling(element, child) } else { self.append(previous, child) }
    }

    fn append_doctype_to_document(&self, _name: StrTendril, _public: StrTendril, _system: StrTendril) {}

    fn get_template_contents(&self, target: &Id) -> Id {
        // What a template holds is not shown, and a template itself is skipped.
        *target
    }

    fn same_node(&self, left: &Id, right: &Id) -> bool {
        left == right
    }

    fn set_quirks_mode(&self, _mode: QuirksMode) {}

    fn append_before_sibling(&self, sibling: &Id, child: NodeOrText<Id>) {
        // The child may stand before the sibling already: it is taken out first, as it changes the sibling's place.
        if let NodeOrText::AppendNode(id) = &child {
            self.detach(*id);
        }
        let place = {
            let nodes = self.nodes.borrow();
            let parent = nodes.get(*sibling).and_then(|node| node.parent);
            parent.and_then(|parent| {
                let at = nodes.get(parent)?.children.iter().rposition(|child| child == sibling)?;
                Some((parent, at))
            })
        };
        if let Some((parent, at)) = place {
            self.put(parent, Some(at), child);
        }
    }

    fn add_attrs_if_missing(&self, _target: &Id, _attributes: Vec<Attribute>) {}

    fn remove_from_parent(&self, target: &Id) {
        self.detach(*target);
    }

    fn reparent_children(&self, node: &Id, new_parent: &Id) {
        let mut nodes = self.nodes.borrow_mut();
        let moved = nodes.get_mut(*node).map(|node| std::mem::take(&mut node.children)).unwrap_or_default();
        let depth = nodes.get(*new_parent).map_or(0, |node| node.depth).saturating_add(1);
        for id in &moved {
            if let Some(child) = nodes.get_mut(*id) {
                child.parent = Some(*new_parent);
                child.depth = depth;
            }
        }
        self.deepest.set(self.deepest.get().max(depth));
        if let Some(parent) = nodes.get_mut(*new_parent) {
            parent.children.extend(moved);
        }
    }

    fn set_current_line(&self, line: u64) {
        self.line.set(u32::try_from(line).unwrap_or(u32::MAX).max(1));
    }
}
