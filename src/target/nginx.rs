//! nginx: an `allow`/`deny` snippet for a server or location, or a `geo` block.

pub(super) mod location;

use super::comment::{Comments, header, plain};
use super::template::Templates;
use super::{Artifact, ArtifactFile, Common, Mode, RenderError, Target, TargetKind, kind_word};
use crate::admission::{Decider, FindingKind, LayerKind, Listing, Text};
use crate::allowlist::{Allowlist, Entry};
use crate::diagnostic::{Code, Diagnostic};
use crate::holding::{Holding, Want};
use crate::policy::validate::prefix_fault;
use crate::prefix::Prefix;
use crate::site::path::LayerSettings;
use crate::yaml::decode::{At, Decoder, choices, record};
use location::Location;

/// From this many entries on, a list that nginx walks at each request costs more than a tree.
const LINEAR_MAX: usize = 10_000;

kind_word!(Kind, "nginx");

choices! {
    /// How nginx is told.
    pub(crate) enum Variant {
        /// `allow` and `deny` lines.
        Access = "access",
        /// A `geo` block that gives a variable the source's name.
        Geo = "geo",
    }
}

record! {
    /// An nginx snippet.
    pub(crate) struct RawSettings {
        /// `nginx`
        #[schemars(required)]
        kind: required Kind,
        /// `exclusive` where it is left out.
        mode: optional Mode,
        /// Whether neighbouring prefixes are joined; `false` where it is left out.
        aggregate: optional bool,
        /// `access` where it is left out.
        variant: optional Variant,
        /// The variable that `geo` sets; `$callgate` where it is left out.
        variable: optional At<String>,
        /// The proxy in front of nginx, where there is one.
        behind_proxy: optional RawProxy,
        /// The file that `callgate apply` puts it into and nginx includes, such as
        /// `/etc/nginx/callgate/callbacks.access.conf`; it is rendered only where this is left out.
        install: optional At<String>,
        /// The main file of nginx's configuration, where it is not the one that nginx takes by itself.
        config: optional At<String>,
        /// The name of the server as callers write it; that of the site's layer of nginx where it is left out.
        server_name: optional At<String>,
        /// Path and query as callers send them; those of the site's layer of nginx where they are left out.
        path: optional At<String>,
    }
}

record! {
    /// A proxy in front of nginx.
    pub(crate) struct RawProxy {
        /// The header in which it tells the client's address.
        #[schemars(required)]
        header: required At<String>,
        /// The proxy's own addresses.
        #[schemars(required)]
        trusted: required Vec<At<String>>,
    }
}

/// The nginx target.
#[derive(Debug)]
pub(super) struct Nginx {
    common: Common,
    variant: Variant,
    variable: String,
    proxy: Option<Proxy>,
    location: Option<Location>,
}

#[derive(Debug)]
struct Proxy {
    header: String,
    trusted: Vec<Prefix>,
}

impl Nginx {
    pub(super) fn new(
        name: String,
        raw: RawSettings,
        layers: &[LayerSettings],
        decoder: &mut Decoder<'_>,
    ) -> Self {
        let location = Location::checked(&raw, decoder).map(|location| location.filled(layers));
        let common = Common::new(name, TargetKind::Nginx, raw.mode, raw.aggregate);
        let variable = raw
            .variable
            .map_or_else(|| "$callgate".to_owned(), |variable| checked_variable(&variable, decoder));
        let proxy = raw.behind_proxy.and_then(|proxy| checked_proxy(proxy, decoder));
        Self { common, variant: raw.variant.unwrap_or(Variant::Access), variable, proxy, location }
    }

    fn note(&self) -> String {
        use std::fmt::Write as _;
        let mut note = String::new();
        // Writing into a String can't fail.
        let _ = match (self.variant, self.common.mode) {
            (Variant::Access, Mode::Exclusive) => writeln!(
                note,
                "# Include it in the location of the callbacks. It replaces every allow and deny of outer levels, and\n\
                 # does nothing in a location that answers with `return`, which nginx does before it looks here."
            ),
            (Variant::Access, Mode::Permit) => writeln!(
                note,
                "# Include it before your own allow and deny lines of the same level: the first match decides. Without\n\
                 # a deny of your own everybody is admitted, as allow lines here replace those of outer levels."
            ),
            (Variant::Geo, Mode::Exclusive) => writeln!(
                note,
                "# Include it in `http`, and in the location of the callbacks write:\n\
                 #     if ({} = \"\") {{ return 403; }}",
                self.variable
            ),
            (Variant::Geo, Mode::Permit) => writeln!(
                note,
                "# Include it in `http`. {} is empty for everybody else: for use in map, log_format and limit_req.",
                self.variable
            ),
        };
        if let Some(proxy) = &self.proxy {
            let _ = writeln!(
                note,
                "# Behind a proxy nginx sees the proxy's address. These lines belong into `server` or `http`:"
            );
            for prefix in &proxy.trusted {
                let _ = writeln!(note, "#     set_real_ip_from {};", prefix.short());
            }
            let _ = writeln!(note, "#     real_ip_header {};\n#     real_ip_recursive on;", proxy.header);
        }
        note
    }
}

fn checked_variable(variable: &At<String>, decoder: &mut Decoder<'_>) -> String {
    let name = variable.value.strip_prefix('$').unwrap_or("");
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if name.is_empty()
        || name.len() > 60
        || !name.bytes().all(word)
        || name.starts_with(|c: char| c.is_ascii_digit())
    {
        let message = format!("`{}` is no nginx variable", variable.value.escape_debug());
        decoder.fault(Code::InvalidValue, &variable.span, message, "write `$` and letters, digits or `_`");
    }
    variable.value.clone()
}

fn checked_proxy(raw: RawProxy, decoder: &mut Decoder<'_>) -> Option<Proxy> {
    let header = raw.header?;
    let token = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if header.value.is_empty() || header.value.len() > 60 || !header.value.bytes().all(token) {
        let message = format!("`{}` is no header name", header.value.escape_debug());
        decoder.fault(
            Code::InvalidValue,
            &header.span,
            message,
            "write a name such as `X-Forwarded-For`, or `proxy_protocol`",
        );
    }
    let mut trusted = Vec::new();
    for text in raw.trusted? {
        match text.value.parse::<Prefix>() {
            Ok(prefix) if prefix.length() == 0 => {
                let message = format!("trusting `{prefix}` lets anybody name any address");
                decoder.fault(Code::Everything, &text.span, message, "name the proxy's own addresses");
            }
            Ok(prefix) => trusted.push(prefix),
            Err(error) => decoder.sink.push(prefix_fault(&error).at(decoder.source, text.span.clone(), "")),
        }
    }
    Some(Proxy { header: header.value, trusted })
}

impl Target for Nginx {
    fn common(&self) -> &Common {
        &self.common
    }

    fn layer(&self) -> LayerKind {
        LayerKind::Nginx
    }

    fn expects(&self, found: FindingKind) -> bool {
        // What is open to others is none of its business then.
        self.common.mode == Mode::Permit
            && matches!(found, FindingKind::NoDenyAll | FindingKind::OpenSibling | FindingKind::FamilyOpen)
    }

    fn location(&self) -> Option<&Location> {
        self.location.as_ref()
    }

    fn holdings<'a>(
        &self,
        allowlist: &'a Allowlist,
        templates: &Templates,
    ) -> Result<Vec<(Holding, Want<'a>)>, RenderError> {
        let Some(location) = &self.location else { return Ok(Vec::new()) };
        let artifact = self.write(&self.common.formed(allowlist), templates)?;
        let content = artifact.files.into_iter().next().map(|file| Text::from(file.text));
        let holding = Holding::NginxFile { path: location.file.clone(), config: location.config.clone() };
        Ok(vec![(holding, content.into())])
    }

    fn owns(&self, rule: &Decider) -> bool {
        self.is_ours(&rule.listing)
    }

    fn deployed(&self, listing: &Listing) -> Option<String> {
        self.is_ours(&listing.name).then(|| listing.text.to_string())
    }

    fn write(&self, allowlist: &Allowlist, templates: &Templates) -> Result<Artifact, RenderError> {
        let comments = Comments::new(allowlist, plain);
        let consequence = match (self.variant, self.common.mode) {
            (Variant::Access, Mode::Exclusive) => "everyone else is refused with status 403",
            (Variant::Geo, Mode::Exclusive) => {
                "everyone else has an empty variable, which the location refuses"
            }
            (Variant::Access | Variant::Geo, Mode::Permit) => "everyone else is left to your own rules",
        };
        let header = header(allowlist, TargetKind::Nginx, self.common.mode, consequence);
        let note = self.note();
        let mut entries = Vec::with_capacity(allowlist.entries().len() * 64);
        for entry in allowlist.entries() {
            self.entry(entry, allowlist, &mut entries);
            // Parts are added as they are: to format them would cost as much as all else of a long list.
            for part in ["; # ", &comments.of(entry), "\n"] {
                entries.extend_from_slice(part.as_bytes());
            }
        }
        // Made of texts only.
        let entries = String::from_utf8(entries).unwrap_or_default();
        let mut values = vec![("header", header.into()), ("note", note.into()), ("entries", entries.into())];
        let text = match self.variant {
            Variant::Access => {
                let closing = if self.common.mode == Mode::Exclusive { "deny all;\n" } else { "" };
                values.push(("closing", closing.into()));
                templates.render(TargetKind::Nginx, "access", values)?
            }
            Variant::Geo => {
                values.push(("variable", self.variable.as_str().into()));
                templates.render(TargetKind::Nginx, "geo", values)?
            }
        };
        let files = vec![ArtifactFile { path: self.file_name(), text }];
        Ok(Artifact { files, findings: self.findings(allowlist.entries().len()), quotas: Vec::new() })
    }
}

impl Nginx {
    /// One line's words.
    fn entry(&self, entry: &Entry, allowlist: &Allowlist, text: &mut Vec<u8>) {
        match self.variant {
            Variant::Access => {
                text.extend_from_slice(b"allow ");
                entry.prefix.short().push_to(text);
            }
            Variant::Geo => {
                text.extend_from_slice(b"    ");
                entry.prefix.short().push_to(text);
                let origin = allowlist.origins_of(entry).next();
                let (provider, source) =
                    origin.map_or(("", ""), |origin| (origin.provider.as_str(), origin.source.as_str()));
                for part in [" ", provider, "/", source] {
                    text.extend_from_slice(part.as_bytes());
                }
            }
        }
    }

    fn file_name(&self) -> String {
        format!("{}.{}.conf", self.common.name, self.variant)
    }

    /// Whether a file of a configuration is the one that we render, wherever it was put.
    fn is_ours(&self, path: &str) -> bool {
        let is_installed = |location: &Location| location.file.as_os_str() == path;
        self.location.as_ref().is_some_and(is_installed)
            || path.rsplit('/').next() == Some(self.file_name().as_str())
    }

    fn findings(&self, entries: usize) -> Vec<Diagnostic> {
        if self.variant == Variant::Geo || entries <= LINEAR_MAX {
            return Vec::new();
        }
        let message =
            format!("target `{}`: nginx walks {entries} allow lines at each request", self.common.name);
        let found = Diagnostic::new(Code::LinearList, message).about(self.common.name.as_str());
        vec![found.help("set `variant: geo`: a tree, as fast for a million entries as for ten")]
    }
}
