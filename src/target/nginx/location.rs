//! Where the file of an nginx target is put, and the location that it guards.

use std::path::{Component, Path, PathBuf};

use super::{RawSettings, Variant};
use crate::diagnostic::Code;
use crate::nginx::Request;
use crate::site::path::{LayerSettings, RawLayer, RawNginx};
use crate::yaml::decode::{At, Decoder};

/// Longest path of a file.
const PATH_BYTES_MAX: usize = 1024;

/// The file of a target, and the location that it guards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The file.
    pub file: PathBuf,
    /// The main file of the configuration, where it is not the one that nginx takes by itself.
    pub config: Option<PathBuf>,
    /// Where the file is included.
    pub level: Level,
    /// What callers ask for; `None` where nobody said it, so that the location can't be asked.
    pub request: Option<Request>,
    /// The port at which callers arrive, where it is not the service's.
    pub port: Option<u16>,
}

/// Where a file is included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// In the block `http`.
    Http,
    /// In the location of the callbacks.
    Location,
}

impl Location {
    /// Takes the settings; `None` where the file is not to be put anywhere.
    pub(super) fn checked(raw: &RawSettings, decoder: &mut Decoder<'_>) -> Option<Self> {
        let Some(install) = &raw.install else {
            let given = [(&raw.config, "config"), (&raw.server_name, "server_name"), (&raw.path, "path")];
            for (at, key) in given.into_iter().filter_map(|(at, key)| Some((at.as_ref()?, key))) {
                let message = format!("`{key}` has no meaning without `install`");
                let help = "say where the file is put: `install: /etc/nginx/callgate/callbacks.access.conf`";
                decoder.fault(Code::InvalidValue, &at.span, message, help);
            }
            return None;
        };
        let file = checked_path(install, decoder);
        let config = raw.config.as_ref().map(|config| checked_path(config, decoder));
        if let Some(name) = raw.server_name.as_ref().filter(|name| !is_name(&name.value)) {
            let message = format!("`{}` is no name of a server", name.value.escape_debug());
            let help = "write the name that callers call: `shop.example.com`";
            decoder.fault(Code::InvalidValue, &name.span, message, help);
        }
        if let Some(path) = raw.path.as_ref().filter(|path| !path.value.starts_with('/')) {
            let message = format!("`{}` is no path of a request", path.value.escape_debug());
            decoder.fault(Code::InvalidValue, &path.span, message, "begin it with `/`");
        }
        let request = raw.path.as_ref().map(|path| Request {
            server_name: raw.server_name.as_ref().map(|name| name.value.clone()),
            path: path.value.clone(),
            ..Request::default()
        });
        let level = match raw.variant.unwrap_or(Variant::Access) {
            Variant::Access => Level::Location,
            Variant::Geo => Level::Http,
        };
        Some(Self { file, config, level, request, port: None })
    }

    /// Takes what the settings leave open from the site's layer of nginx.
    pub(super) fn filled(mut self, layers: &[LayerSettings]) -> Self {
        let layer = layers.iter().find_map(|layer| match &layer.raw {
            RawLayer::Nginx(raw) => Some((layer, raw)),
            RawLayer::SecurityGroup(_) | RawLayer::Terraform(_) | RawLayer::Host(_) => None,
        });
        let Some((layer, raw)) = layer else { return self };
        self.port = layer.port;
        let theirs = request_of(raw);
        let own = self.request.take();
        let path =
            own.as_ref().map(|own| own.path.clone()).or(theirs.as_ref().map(|other| other.path.clone()));
        self.request = path.map(|path| Request {
            server_name: own.and_then(|own| own.server_name).or_else(|| raw.server_name.clone()),
            path,
            method: raw.method.clone(),
            headers: theirs.map(|theirs| theirs.headers).unwrap_or_default(),
            proxy: layer.proxy,
        });
        self
    }
}

/// What callers ask for by the site's layer.
fn request_of(raw: &RawNginx) -> Option<Request> {
    let header = |text: &At<String>| {
        let (name, value) = text.value.split_once(':')?;
        Some((name.trim().to_owned(), value.trim().to_owned()))
    };
    Some(Request {
        server_name: raw.server_name.clone(),
        path: raw.path.as_ref()?.value.clone(),
        method: raw.method.clone(),
        headers: raw.headers.iter().filter_map(header).collect(),
        proxy: None,
    })
}

/// A path that nginx and we understand alike wherever either is started.
fn checked_path(text: &At<String>, decoder: &mut Decoder<'_>) -> PathBuf {
    let path = Path::new(&text.value);
    let is_plain = |part: Component<'_>| matches!(part, Component::RootDir | Component::Normal(_));
    let names_a_file = path.file_name().is_some() && !text.value.ends_with('/');
    // nginx would take these for a pattern, or for a variable.
    let is_taken_alike =
        !text.value.chars().any(|c| c.is_control() || matches!(c, '*' | '?' | '[' | '\\' | '$' | '"' | '\''));
    let fits = text.value.len() <= PATH_BYTES_MAX && is_taken_alike;
    if !path.is_absolute() || !path.components().all(is_plain) || !names_a_file || !fits {
        let message = format!("`{}` is no absolute path of a file", text.value.escape_debug());
        let help =
            "begin it with `/`; no `..`, no pattern, no quotes: `/etc/nginx/callgate/callbacks.access.conf`";
        decoder.fault(Code::InvalidValue, &text.span, message, help);
    }
    path.to_path_buf()
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 255
        && !text.contains(|c: char| c.is_whitespace() || c.is_control() || c == '/')
}
