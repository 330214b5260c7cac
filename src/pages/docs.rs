//! The page that shows people the APIs: the `OpenAPI` description, as HTML. It needs no script and
//! loads nothing from elsewhere.
//!
//! What lives here: turning a description into the page's data. What does not: the description
//! itself, which `dialects/` makes.

use askama::Template;
use serde_json::Value;

use super::Site;

/// Methods in the order in which a path's operations are shown.
const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];
const SCHEMA_PREFIX: &str = "#/components/schemas/";

/// The page at `{prefix}/docs`.
#[derive(Debug, Template)]
#[template(path = "docs.html")]
pub struct DocsPage<'a> {
    pub site: &'a Site,
    pub docs: &'a Docs,
}

/// The APIs, ready to be shown.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Docs {
    groups: Vec<Group>,
    shapes: Vec<Shape>,
}

/// The operations of one API.
#[derive(Debug, PartialEq, Eq)]
struct Group {
    name: String,
    about: String,
    operations: Vec<Operation>,
    /// The meaning of each status of failures.
    failures: Vec<Answer>,
}

#[derive(Debug, PartialEq, Eq)]
struct Operation {
    method: String,
    path: String,
    about: String,
    caller: Caller,
    parameters: Vec<Member>,
    body: Option<Kind>,
    answers: Vec<Answer>,
    failures: Vec<String>,
}

/// The callers of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Caller {
    Anybody,
    SignedIn,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Answer {
    status: String,
    about: String,
    kind: Option<Kind>,
}

/// The type of a value, in words, and the shape that explains it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Kind {
    words: String,
    shape: Option<String>,
}

/// A parameter, or a member of a shape.
#[derive(Debug, PartialEq, Eq)]
struct Member {
    name: String,
    kind: Kind,
    presence: Presence,
    about: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Presence {
    Required,
    Optional,
}

/// A JSON object with a name.
#[derive(Debug, PartialEq, Eq)]
struct Shape {
    name: String,
    about: String,
    members: Vec<Member>,
    /// Shapes whose members it has as well.
    includes: Vec<String>,
}

impl Docs {
    /// Reads an `OpenAPI` 3.1 document. Parts that it does not know are not shown.
    pub fn of(document: &Value) -> Self {
        let tags = array(&document["tags"]);
        let shapes = document.pointer("/components/schemas").into_iter().flat_map(object);
        let shapes = shapes.map(|(name, schema)| Shape::of(name, schema));
        Self {
            groups: tags.map(|tag| Group::of(tag, &document["paths"])).collect(),
            shapes: shapes.collect(),
        }
    }
}

impl Group {
    fn of(tag: &Value, paths: &Value) -> Self {
        let name = text(&tag["name"]);
        let mut operations = Vec::new();
        let mut failures: Vec<Answer> = Vec::new();
        for (path, item) in object(paths) {
            for method in METHODS {
                let Some(described) = item.get(method) else { continue };
                if !array(&described["tags"]).any(|tag| tag.as_str() == Some(&name)) {
                    continue;
                }
                let (operation, failing) = Operation::of(method, path, described);
                operations.push(operation);
                failures.extend(failing);
            }
        }
        failures.sort_by(|a, b| a.status.cmp(&b.status));
        failures.dedup_by(|a, b| a.status == b.status);
        Self { name, about: text(&tag["description"]), operations, failures }
    }
}

impl Operation {
    /// The operation, and how it may fail.
    fn of(method: &str, path: &str, described: &Value) -> (Self, Vec<Answer>) {
        let answers = object(&described["responses"]).map(|(status, answer)| Answer::of(status, answer));
        let (answers, failing): (Vec<_>, Vec<_>) = answers.partition(|answer| answer.status.starts_with('2'));
        let body = described.get("requestBody").map(|body| {
            let kind = Kind::of_content(&body["content"]);
            let words = [kind.words, text(&body["description"])];
            let words = words.into_iter().filter(|words| !words.is_empty());
            Kind { words: words.collect::<Vec<_>>().join(": "), shape: kind.shape }
        });
        let operation = Self {
            method: method.to_ascii_uppercase(),
            path: path.to_owned(),
            about: sentences(described),
            caller: match described.get("security") {
                Some(_) => Caller::SignedIn,
                None => Caller::Anybody,
            },
            parameters: array(&described["parameters"]).map(Member::of_parameter).collect(),
            body,
            answers,
            failures: failing.iter().map(|answer| answer.status.clone()).collect(),
        };
        (operation, failing)
    }
}

impl Answer {
    fn of(status: &str, answer: &Value) -> Self {
        let kind = answer.get("content").map(Kind::of_content);
        Self { status: status.to_owned(), about: text(&answer["description"]), kind }
    }
}

impl Kind {
    fn of_content(content: &Value) -> Self {
        object(content).next().map(|(_, media)| Self::of(&media["schema"])).unwrap_or_default()
    }

    fn of(schema: &Value) -> Self {
        if let Some(name) = schema["$ref"].as_str().and_then(|it| it.strip_prefix(SCHEMA_PREFIX)) {
            return Self { words: String::new(), shape: Some(name.to_owned()) };
        }
        let alternatives = array(&schema["oneOf"]).chain(array(&schema["anyOf"]));
        if let Some(other) = alternatives.into_iter().find(|it| it["type"] != "null") {
            let other = Self::of(other);
            return Self { words: format!("{} or null", other.words).trim().to_owned(), ..other };
        }
        if let Some(items) = schema.get("items") {
            let items = Self::of(items);
            return Self { words: format!("list of {}", items.words), ..items };
        }
        let choices: Vec<_> = array(&schema["enum"]).filter_map(Value::as_str).collect();
        let words = if choices.is_empty() { types(&schema["type"]) } else { choices.join(" or ") };
        Self { words, shape: None }
    }
}

impl Member {
    fn of_parameter(parameter: &Value) -> Self {
        Self {
            name: format!("{} ({})", text(&parameter["name"]), text(&parameter["in"])),
            kind: Kind::of(&parameter["schema"]),
            presence: presence(parameter["required"] == true),
            about: text(&parameter["description"]),
        }
    }
}

impl Shape {
    fn of(name: &str, schema: &Value) -> Self {
        let mut shape = Self {
            name: name.to_owned(),
            about: text(&schema["description"]),
            members: Vec::new(),
            includes: Vec::new(),
        };
        shape.take(schema);
        for part in array(&schema["allOf"]) {
            match Kind::of(part).shape {
                Some(included) => shape.includes.push(included),
                None => shape.take(part),
            }
        }
        if shape.members.is_empty() && shape.includes.is_empty() {
            let words = Kind::of(schema).words;
            shape.about.push_str(if shape.about.is_empty() { "" } else { " " });
            shape.about.push_str(&words);
        }
        shape
    }

    fn take(&mut self, schema: &Value) {
        let required: Vec<_> = array(&schema["required"]).filter_map(Value::as_str).collect();
        let members = object(&schema["properties"]).map(|(name, member)| Member {
            name: name.to_owned(),
            kind: Kind::of(member),
            presence: presence(required.contains(&name)),
            about: text(&member["description"]),
        });
        self.members.extend(members);
    }
}

const fn presence(is_required: bool) -> Presence {
    if is_required { Presence::Required } else { Presence::Optional }
}

fn types(value: &Value) -> String {
    match value {
        Value::Array(all) => all.iter().map(types).collect::<Vec<_>>().join(" or "),
        other => text(other),
    }
}

/// Summary and description, as one paragraph.
fn sentences(described: &Value) -> String {
    [text(&described["summary"]), text(&described["description"])].join(" ").trim().to_owned()
}

/// Text as it is written for people, without the marks that documentation puts around code.
fn text(value: &Value) -> String {
    value.as_str().unwrap_or("").replace('`', "")
}

fn array(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn object(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flatten().map(|(name, value)| (name.as_str(), value))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(schema: &Value, words: &str, shape: Option<&str>) {
        assert_eq!(
            Kind::of(schema),
            Kind { words: words.to_owned(), shape: shape.map(str::to_owned) },
            "{schema}"
        );
    }

    #[test]
    fn describes_schemas_in_words() {
        check(&json!({ "type": "string" }), "string", None);
        check(&json!({ "type": ["string", "null"] }), "string or null", None);
        check(&json!({ "type": "string", "enum": ["a", "b"] }), "a or b", None);
        let named = json!({ "$ref": "#/components/schemas/native.User" });
        check(&named, "", Some("native.User"));
        check(&json!({ "type": "array", "items": named }), "list of ", Some("native.User"));
        check(&json!({ "oneOf": [{ "type": "null" }, named] }), "or null", Some("native.User"));
        check(&json!(null), "", None);
    }

    #[test]
    fn an_operation_is_shown_in_the_group_of_its_tag() {
        let operation = json!({
            "tags": ["native"], "summary": "Lists.", "security": [{ "bearer": [] }],
            "responses": {
                "200": { "description": "", "content": { "application/json": { "schema": { "type": "string" } } } },
                "401": { "description": "Nobody." },
            },
        });
        let docs = Docs::of(&json!({
            "tags": [{ "name": "native", "description": "Ours." }, { "name": "other" }],
            "paths": { "/auth/passkeys": { "get": operation } },
        }));
        let [native, other] = docs.groups.as_slice() else { panic!("{docs:?}") };
        assert!(other.operations.is_empty());
        let [shown] = native.operations.as_slice() else { panic!("{native:?}") };
        assert_eq!(
            (shown.method.as_str(), shown.caller, shown.failures.join(" ")),
            ("GET", Caller::SignedIn, "401".to_owned())
        );
        assert_eq!(native.failures.first().map(|failure| failure.about.as_str()), Some("Nobody."));
    }
}
