//! `path:` of the site file: the layers that a callback crosses, and where the rules of each are read.

use std::net::IpAddr;

use crate::diagnostic::Code;
use crate::yaml::decode::{At, Decode, Decoder, choices, record};
use crate::yaml::{Node, Value};

/// Layers of one path.
const LAYERS_MAX: usize = 8;

choices! {
    /// What a layer is.
    pub enum LayerWord {
        /// Security groups, as AWS lists them.
        SecurityGroup = "security-group",
        /// Security groups, as Terraform lists them.
        Terraform = "terraform",
        /// A host's packet filter.
        Host = "host",
        /// A location of nginx.
        Nginx = "nginx",
    }
}

record! {
    /// Security groups, as AWS lists them.
    pub struct RawSecurityGroup {
        /// `security-group`
        #[schemars(required, extend("const" = "security-group"))]
        layer: required LayerWord,
        /// The groups' ids.
        #[schemars(default)]
        groups: list String,
        /// The network interface whose groups count.
        network_interface: optional String,
        /// The instance whose groups count.
        instance: optional String,
        /// Files with what `aws ec2 describe-security-groups` and its like print; AWS is asked where none is named.
        #[schemars(default)]
        security_groups: list String,
        /// Files with entries of managed prefix lists.
        #[schemars(default)]
        prefix_lists: list String,
        /// Files with what `aws ec2 describe-network-acls` prints.
        #[schemars(default)]
        network_acls: list String,
        /// The account's quota of inward rules a group and family; 60 where it is left out.
        rules_max: optional u32,
        /// The profile that AWS is asked with.
        profile: optional String,
        /// The region that AWS is asked in.
        region: optional String,
        /// The port at which callers arrive here; the service's where it is left out.
        port: optional u16,
        /// The proxy's address that all callers arrive from.
        proxy: optional At<String>,
    }
}

record! {
    /// Security groups, as Terraform lists them.
    pub struct RawTerraform {
        /// `terraform`
        #[schemars(required, extend("const" = "terraform"))]
        layer: required LayerWord,
        /// What `terraform show -json` prints, of a state or a plan.
        #[schemars(required)]
        file: required String,
        /// The addresses of the resources whose groups count.
        #[schemars(default)]
        resources: list String,
        /// The groups' ids.
        #[schemars(default)]
        groups: list String,
        /// The port at which callers arrive here; the service's where it is left out.
        port: optional u16,
        /// The proxy's address that all callers arrive from.
        proxy: optional At<String>,
    }
}

record! {
    /// A host's packet filter. The host that callgate runs on is asked where no file is named.
    pub struct RawHost {
        /// `host`
        #[schemars(required, extend("const" = "host"))]
        layer: required LayerWord,
        /// Output of `nft -a list ruleset`.
        nft: optional String,
        /// Output of `nft -j list ruleset`.
        nft_json: optional String,
        /// Output of `iptables-save`, once for each machinery.
        #[schemars(default)]
        iptables: list String,
        /// Output of `ip6tables-save`, once for each machinery.
        #[schemars(default)]
        ip6tables: list String,
        /// Output of `ipset save`.
        ipset: optional String,
        /// Output of `ip -j address`.
        addresses: optional String,
        /// The port at which callers arrive here; the service's where it is left out.
        port: optional u16,
        /// The proxy's address that all callers arrive from.
        proxy: optional At<String>,
    }
}

record! {
    /// A location of nginx. The nginx of the host that callgate runs on is asked where no file is named.
    pub struct RawNginx {
        /// `nginx`
        #[schemars(required, extend("const" = "nginx"))]
        layer: required LayerWord,
        /// `nginx.conf`, or the output of `nginx -T`.
        nginx: optional String,
        /// The folder that stands for `/`, where the configuration is a copy of another host's.
        nginx_root: optional String,
        /// The name of the server, as callers write it; any where it is left out.
        server_name: optional String,
        /// Path and query, as callers send them.
        #[schemars(required)]
        path: required At<String>,
        /// The method that callers use; any where it is left out.
        method: optional String,
        /// Headers that callers send, such as `X-Env: production`.
        #[schemars(default)]
        headers: list At<String>,
        /// The port at which callers arrive here; the service's where it is left out.
        port: optional u16,
        /// The proxy's address that all callers arrive from; it has to tell the caller's own.
        proxy: optional At<String>,
    }
}

/// A layer as written: its shape hangs on its kind.
#[derive(Debug, Clone)]
pub enum RawLayer {
    /// Security groups, as AWS lists them.
    SecurityGroup(RawSecurityGroup),
    /// Security groups, as Terraform lists them.
    Terraform(RawTerraform),
    /// A host's packet filter.
    Host(RawHost),
    /// A location of nginx.
    Nginx(RawNginx),
}

impl Decode for RawLayer {
    fn decode(node: &Node<'_>, decoder: &mut Decoder<'_>) -> Option<Self> {
        let Value::Mapping(entries, _) = &node.value else {
            decoder.wrong_type(node, "a mapping");
            return None;
        };
        let is_word = |key: &Node<'_>| matches!(&key.value, Value::Scalar(text, _) if text == "layer");
        let Some((_, word)) = entries.iter().find(|(key, _)| is_word(key)) else {
            let start = node.span.start..node.span.start;
            let words: Vec<&str> = LayerWord::ALL.iter().map(|word| word.as_str()).collect();
            let help = format!("add `layer:` with one of {}", words.join(", "));
            decoder.fault(Code::MissingKey, &start, "a layer without `layer:`".to_owned(), help);
            return None;
        };
        Some(match LayerWord::decode(word, decoder)? {
            LayerWord::SecurityGroup => Self::SecurityGroup(Decode::decode(node, decoder)?),
            LayerWord::Terraform => Self::Terraform(Decode::decode(node, decoder)?),
            LayerWord::Host => Self::Host(Decode::decode(node, decoder)?),
            LayerWord::Nginx => Self::Nginx(Decode::decode(node, decoder)?),
        })
    }
}

impl schemars::JsonSchema for RawLayer {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Layer".into()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let shapes = [
            generator.subschema_for::<RawSecurityGroup>(),
            generator.subschema_for::<RawTerraform>(),
            generator.subschema_for::<RawHost>(),
            generator.subschema_for::<RawNginx>(),
        ];
        schemars::json_schema!({ "anyOf": shapes })
    }
}

/// One layer of a path: where its rules are read, and how callers arrive there.
#[derive(Debug, Clone)]
pub struct LayerSettings {
    /// What it is, with its own settings.
    pub raw: RawLayer,
    /// The port at which callers arrive, where it is not the service's.
    pub port: Option<u16>,
    /// The proxy that they arrive through.
    pub proxy: Option<IpAddr>,
}

impl RawLayer {
    fn arrival(&self) -> (Option<u16>, Option<&At<String>>) {
        match self {
            Self::SecurityGroup(raw) => (raw.port, raw.proxy.as_ref()),
            Self::Terraform(raw) => (raw.port, raw.proxy.as_ref()),
            Self::Host(raw) => (raw.port, raw.proxy.as_ref()),
            Self::Nginx(raw) => (raw.port, raw.proxy.as_ref()),
        }
    }

    fn faults(&self, decoder: &mut Decoder<'_>) {
        let Self::Nginx(raw) = self else { return };
        if let Some(path) = raw.path.as_ref().filter(|path| !path.value.starts_with('/')) {
            let message = format!("`{}` is no path of a request", path.value.escape_debug());
            decoder.fault(Code::InvalidValue, &path.span, message, "begin it with `/`");
        }
        for header in raw.headers.iter().filter(|header| !header.value.contains(':')) {
            let message = format!("`{}` is no header", header.value.escape_debug());
            decoder.fault(Code::InvalidValue, &header.span, message, "write `Name: value`");
        }
    }
}

/// Checks the layers of a path.
pub(super) fn checked(raw: Vec<RawLayer>, decoder: &mut Decoder<'_>) -> Vec<LayerSettings> {
    let mut layers = Vec::new();
    for (index, raw) in raw.into_iter().enumerate() {
        raw.faults(decoder);
        let (port, proxy) = raw.arrival();
        let proxy = proxy.and_then(|text| {
            let address = text.value.parse::<IpAddr>().ok();
            if address.is_none() {
                let message = format!("`{}` is not an address", text.value.escape_debug());
                decoder.fault(
                    Code::NotAPrefix,
                    &text.span,
                    message,
                    "write the address that the proxy calls from",
                );
            }
            address
        });
        if index == LAYERS_MAX {
            let span = place(&raw);
            let message = format!("a path of more than {LAYERS_MAX} layers");
            decoder.fault(Code::InvalidValue, &span, message, "name the layers that callbacks cross");
        }
        layers.push(LayerSettings { raw, port, proxy });
    }
    layers
}

fn place(raw: &RawLayer) -> std::ops::Range<usize> {
    match raw {
        RawLayer::SecurityGroup(raw) => raw.span.clone(),
        RawLayer::Terraform(raw) => raw.span.clone(),
        RawLayer::Host(raw) => raw.span.clone(),
        RawLayer::Nginx(raw) => raw.span.clone(),
    }
}
