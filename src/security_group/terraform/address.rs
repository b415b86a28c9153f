//! Addresses of resources: `module.web[0].aws_security_group.this["a"]`.

/// An address in its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address<'a> {
    /// The modules, from the outermost.
    pub(super) modules: Vec<Step<'a>>,
    /// The address within the module, without index; with `data.` where it is only looked up.
    pub(super) base: &'a str,
    /// Its index with the brackets, or nothing.
    pub(super) index: &'a str,
}

/// One module of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Step<'a> {
    /// Its name.
    pub(super) name: &'a str,
    /// The step as it is written: `module.web[0]`.
    pub(super) text: &'a str,
}

impl<'a> Address<'a> {
    /// Reads an address; whatever the text is, its parts together are the text.
    pub(super) fn read(text: &'a str) -> Self {
        let mut modules = Vec::new();
        let mut rest = text;
        while let Some((step, after)) = module_step(rest) {
            modules.push(step);
            rest = after;
        }
        let end = rest.find('[').unwrap_or(rest.len());
        let (base, index) = rest.split_at(end);
        Self { modules, base, index }
    }
}

/// A module at the start of a text, and what follows its dot.
pub(super) fn module_step(text: &str) -> Option<(Step<'_>, &str)> {
    let after = text.strip_prefix("module.")?;
    let name_len = after.find(['.', '['])?;
    let (name, rest) = after.split_at(name_len);
    let rest = rest.split_at(index_len(rest)?).1;
    let step = text.get(..text.len().checked_sub(rest.len())?)?;
    Some((Step { name, text: step }, rest.strip_prefix('.')?))
}

/// How long the index at the start of a text is, brackets included; 0 where there is none, `None` where it does
/// not end.
pub(super) fn index_len(text: &str) -> Option<usize> {
    if !text.starts_with('[') {
        return Some(0);
    }
    let (mut quoted, mut escaped) = (false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b']' if !quoted => return at.checked_add(1),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_modules_a_base_and_an_index() {
        let text = r#"module.web[0].module.in["b\"].c"].aws_x.y["k[1].z"]"#;
        let address = Address::read(text);
        let steps: Vec<_> = address.modules.iter().map(|step| (step.name, step.text)).collect();
        assert_eq!(steps, [("web", "module.web[0]"), ("in", r#"module.in["b\"].c"]"#)]);
        assert_eq!((address.base, address.index), ("aws_x.y", r#"["k[1].z"]"#));
        for text in [
            "",
            "aws_x.y",
            "data.aws_x.y[0]",
            "module.a",
            "module.a[",
            "module.a[\"",
            "module.a[0]b.c",
            "x[[",
        ] {
            let address = Address::read(text);
            let modules: String = address.modules.iter().map(|step| format!("{}.", step.text)).collect();
            assert_eq!(format!("{modules}{}{}", address.base, address.index), text);
        }
    }
}
