//! A case: a configuration of nginx, and the questions in the comments at the top of its main file.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use crate::golden::files;
use crate::judge::names;
use crate::support::root;

/// What is asked, and what nginx does then.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    /// The method and the path; `None` for a connection of the stream module.
    pub(crate) request: Option<(String, String)>,
    pub(crate) port: u16,
    pub(crate) server_name: Option<String>,
    /// What the request says in its stead.
    pub(crate) host: Option<String>,
    /// Whether the client speaks TLS.
    pub(crate) tls: Option<Tls>,
    /// Headers that the question names.
    pub(crate) told: Vec<String>,
    /// Headers that only nginx sees.
    pub(crate) untold: Vec<String>,
    /// The proxy that callers come through: the connection is its, and it tells of the caller.
    pub(crate) proxy: Option<IpAddr>,
    /// The version of the PROXY protocol that the connection begins with.
    pub(crate) proxied: Option<String>,
    /// The addresses that are dialled, where the question names them.
    pub(crate) addresses: Vec<IpAddr>,
    /// A socket in the file system that is dialled instead; the program has no words for it.
    pub(crate) socket: Option<String>,
    /// Whether the host itself calls too.
    pub(crate) loopback: bool,
    pub(crate) lets_in: Option<Vec<String>>,
    pub(crate) keeps_out: Option<Vec<String>>,
    pub(crate) redirects: Whom,
    /// The status that those who stay out see.
    pub(crate) status: Option<u16>,
    /// Sources of which the configuration alone can't tell.
    pub(crate) undetermined: Whom,
    /// The findings that the program has to have, no more and no less; not looked at where the case names none.
    pub(crate) finds: Option<Vec<String>>,
}

/// Some sources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Whom {
    These(Vec<String>),
    AllBut(Vec<String>),
}

impl Whom {
    fn new(value: &str) -> Self {
        match value.strip_prefix("all but ") {
            Some(others) => Self::AllBut(list_of(others)),
            None => Self::These(list_of(value)),
        }
    }

    /// Whether a source is one of them.
    pub(crate) fn has(&self, source: IpAddr) -> bool {
        match self {
            Self::These(listed) => names(listed, source),
            Self::AllBut(others) => !names(others, source),
        }
    }
}

/// What the client names in the handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Tls {
    ServerName,
    Other(String),
    Nothing,
}

fn list_of(value: &str) -> Vec<String> {
    value.split(',').map(|word| word.trim().to_owned()).collect()
}

impl Default for Question {
    fn default() -> Self {
        Self {
            request: Some(("GET".to_owned(), "/callback".to_owned())),
            port: 80,
            server_name: Some("callbacks.test".to_owned()),
            host: None,
            tls: None,
            told: Vec::new(),
            untold: Vec::new(),
            proxy: None,
            proxied: None,
            addresses: Vec::new(),
            socket: None,
            loopback: false,
            lets_in: None,
            keeps_out: None,
            redirects: Whom::These(Vec::new()),
            status: None,
            undetermined: Whom::These(Vec::new()),
            finds: None,
        }
    }
}

impl Question {
    /// Whether it says what nginx does.
    pub(crate) fn is_stated(&self) -> bool {
        let all = Whom::These(vec!["all".to_owned()]);
        self.lets_in.is_some() || self.keeps_out.is_some() || self.redirects == all
    }

    /// As a person would say it.
    pub(crate) fn said(&self) -> String {
        let mut text = match &self.request {
            Some((method, path)) => format!("{method} {path}"),
            None => "stream".to_owned(),
        };
        text.push_str(&format!(" at {} port {}", self.server_name.as_deref().unwrap_or("-"), self.port));
        if self.tls.is_some() {
            text.push_str(", TLS");
        }
        for header in self.told.iter().chain(&self.untold) {
            text.push_str(&format!(", {header}"));
        }
        if let Some(proxy) = self.proxy {
            text.push_str(&format!(", by proxy {proxy}"));
        }
        if let Some(socket) = &self.socket {
            text.push_str(&format!(", {socket}"));
        }
        text
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        let list = || list_of(value);
        match key {
            "port" => self.port = value.parse().map_err(|fault| format!("{fault}"))?,
            "server-name" => self.server_name = Some(value.to_owned()).filter(|name| name != "none"),
            "host" => self.host = Some(value.to_owned()),
            "tls" => {
                self.tls = Some(match value {
                    "yes" => Tls::ServerName,
                    "unnamed" => Tls::Nothing,
                    name => Tls::Other(name.to_owned()),
                });
                if self.port == 80 {
                    self.port = 443;
                }
            }
            "with" => self.told.push(value.to_owned()),
            "sends" => self.untold.push(value.to_owned()),
            "proxy" => self.proxy = Some(value.parse().map_err(|fault| format!("{fault}"))?),
            "proxied" if ["v1", "v2"].contains(&value) => self.proxied = Some(value.to_owned()),
            "address" => {
                self.addresses.clear();
                for word in list() {
                    self.addresses.push(word.parse().map_err(|fault| format!("{fault}"))?);
                }
            }
            "dials" => self.socket = Some(value.to_owned()),
            "from" if value == "loopback too" => self.loopback = true,
            "lets in" => self.lets_in = Some(list()),
            "keeps out" => self.keeps_out = Some(list()),
            "redirects" => self.redirects = Whom::new(value),
            "status" => self.status = Some(value.parse().map_err(|fault| format!("{fault}"))?),
            "undetermined" => self.undetermined = Whom::new(value),
            "finds" if value == "none" => self.finds = Some(Vec::new()),
            "finds" => self.finds = Some(list()),
            _ => return Err("not a setting of a case".into()),
        }
        Ok(())
    }

    fn ask(&mut self, value: &str) {
        self.request = match value.split_once(' ') {
            _ if value == "stream" => None,
            Some((method, path)) => Some((method.to_owned(), path.to_owned())),
            None => Some(("GET".to_owned(), value.to_owned())),
        };
    }
}

/// What becomes of a configuration.
#[derive(Clone, Debug)]
pub(crate) enum Expected {
    /// nginx runs with it.
    Answers(Vec<Question>),
    /// nginx refuses it, and says so.
    Refused {
        /// In nginx's message.
        message: String,
        /// Whether the program has to refuse it too: what it need not look at, it may pass over.
        by_us: Option<String>,
    },
}

/// A configuration and its questions.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) name: String,
    /// What it tries, in a sentence.
    pub(crate) tries: String,
    /// Its files, by their paths below the folder that nginx runs in; the main one is `nginx.conf`.
    pub(crate) files: BTreeMap<PathBuf, Vec<u8>>,
    pub(crate) expected: Expected,
}

impl Case {
    /// Reads the questions of a configuration.
    pub(crate) fn new(name: &str, files: BTreeMap<PathBuf, Vec<u8>>) -> Result<Self, String> {
        let main = files.get(Path::new("nginx.conf")).ok_or_else(|| format!("{name} has no nginx.conf"))?;
        let main = String::from_utf8_lossy(main).into_owned();
        let mut tries = String::new();
        let mut refused = None;
        let mut by_us = None;
        let mut shared = Question::default();
        let mut questions: Vec<Question> = Vec::new();
        let head = main.lines().take_while(|line| line.starts_with('#'));
        for line in head {
            let Some((key, value)) = line.strip_prefix("# ").and_then(|line| line.split_once(": ")) else {
                continue;
            };
            let value = value.trim();
            let fault = |fault: String| format!("{name}: {line}: {fault}");
            match key {
                "tries" => value.clone_into(&mut tries),
                "refused" => refused = Some(value.to_owned()),
                "we say" => by_us = Some(value.to_owned()),
                "asks" => {
                    let mut question = shared.clone();
                    question.ask(value);
                    questions.push(question);
                }
                _ => questions.last_mut().unwrap_or(&mut shared).set(key, value).map_err(fault)?,
            }
        }
        if questions.is_empty() {
            questions.push(shared);
        }
        let expected = match refused {
            Some(message) => Expected::Refused { message, by_us },
            None => Expected::Answers(questions),
        };
        Ok(Self { name: name.to_owned(), tries, files, expected })
    }

    /// All files of the case, as far as they are text.
    pub(crate) fn text(&self) -> String {
        let texts: Vec<_> = self.files.values().map(|text| String::from_utf8_lossy(text)).collect();
        texts.join("\n")
    }
}

/// Every case below `tests/fixtures/nginx`, by its name: a file `<name>.conf`, or a folder that has `nginx.conf`.
pub(crate) fn all() -> Vec<Case> {
    let folder = root().join("tests/fixtures/nginx");
    let mut found: BTreeMap<String, BTreeMap<PathBuf, Vec<u8>>> = BTreeMap::new();
    for path in files(&folder) {
        let text = std::fs::read(folder.join(&path)).unwrap();
        let mut parts = path.components();
        let first = parts.next().unwrap().as_os_str().to_str().unwrap();
        let rest = parts.as_path();
        let (name, file) = if rest.as_os_str().is_empty() {
            (first.strip_suffix(".conf").unwrap_or(first), PathBuf::from("nginx.conf"))
        } else {
            (first, rest.to_path_buf())
        };
        found.entry(name.to_owned()).or_default().insert(file, text);
    }
    let read = |(name, files): (String, _)| Case::new(&name, files).unwrap_or_else(|fault| panic!("{fault}"));
    found.into_iter().map(read).collect()
}
