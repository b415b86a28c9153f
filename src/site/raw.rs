//! The site file as written: shapes and places, nothing checked yet.
//!
//! These types are the format; their documentation becomes the JSON Schema. See `docs/site-format.md`.

use super::guardrails::RawGuardrails;
use super::path::RawLayer;
use crate::policy::{Environment, Role};
use crate::yaml::decode::{At, Decode, Decoder, Named, record};
use crate::yaml::{Node, Value};

record! {
    /// What is wanted at one place.
    pub struct RawSite {
        /// The number of this format: 1.
        #[schemars(required)]
        schema: required At<u32>,
        /// Which providers; all that have a policy where it is left out.
        policies: optional Vec<RawSelection>,
        /// Which of the providers' environments; production where it is left out.
        environments: optional Vec<Environment>,
        /// Which roles; callback where it is left out.
        roles: optional Vec<At<Role>>,
        /// The zone in which a date is a whole day; UTC where it is left out.
        zone: optional At<String>,
        /// Where the callbacks arrive.
        service: optional RawSiteService,
        /// Sources retired earlier or held longer than the provider says.
        #[schemars(default)]
        exceptions: list RawException,
        /// The layers that a callback crosses, from the outside inwards.
        #[schemars(default)]
        path: list RawLayer,
        /// What a change must not do unless somebody says so for that very change.
        guardrails: optional RawGuardrails,
        /// Where the allowlist is enforced, by a name of your choice.
        #[schemars(required, extend("minProperties" = 1))]
        targets: required Named<RawTarget>,
    }
}

record! {
    /// Where the callbacks arrive.
    pub struct RawSiteService {
        /// Ports; the providers' own where it is left out.
        ports: optional Vec<At<u16>>,
        /// The network interface at which they arrive; any where it is left out.
        interface: optional At<String>,
        /// The addresses at which they arrive, at most one a family; any where it is left out.
        #[schemars(default)]
        addresses: list At<String>,
    }
}

record! {
    /// A provider with settings of its own.
    pub struct RawSelectionDetails {
        /// The provider's id.
        #[schemars(required)]
        provider: required At<String>,
        /// Which roles for this provider.
        roles: optional Vec<At<Role>>,
        /// Which environments for this provider.
        environments: optional Vec<Environment>,
    }
}

/// A provider: its id alone, or a mapping with roles and environments of its own.
#[derive(Debug, Clone)]
pub struct RawSelection(pub RawSelectionDetails);

impl Decode for RawSelection {
    fn decode(node: &Node<'_>, decoder: &mut Decoder<'_>) -> Option<Self> {
        if let Value::Mapping(..) = &node.value {
            return RawSelectionDetails::decode(node, decoder).map(Self);
        }
        let provider = Some(At::decode(node, decoder)?);
        Some(Self(RawSelectionDetails { span: node.span.clone(), provider, roles: None, environments: None }))
    }
}

impl schemars::JsonSchema for RawSelection {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Selection".into()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let details = generator.subschema_for::<RawSelectionDetails>();
        schemars::json_schema!({ "anyOf": [{ "type": "string" }, details] })
    }
}

record! {
    /// A source that this site retires earlier or holds longer than the provider says.
    pub struct RawException {
        /// The provider's id.
        #[schemars(required)]
        provider: required At<String>,
        /// The source's id.
        #[schemars(required)]
        source: required At<String>,
        /// From when it is no longer admitted here.
        retire: optional At<String>,
        /// Until when it is admitted here although it expired.
        hold_until: optional At<String>,
        /// Why.
        #[schemars(required)]
        reason: required String,
        /// The day by which somebody looks again.
        #[schemars(required)]
        review_by: required At<String>,
    }
}

/// A target's settings, read by the target itself.
#[derive(Debug, Clone)]
pub struct RawTarget(pub Node<'static>);

impl Decode for RawTarget {
    fn decode(node: &Node<'_>, _decoder: &mut Decoder<'_>) -> Option<Self> {
        Some(Self(node.clone().into_owned()))
    }
}

impl schemars::JsonSchema for RawTarget {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Target".into()
    }
    /// Any settings with a kind; whoever prints the schema puts the targets' own in this place.
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "object", "required": ["kind"] })
    }
}
