//! The pages of reference that are written from what refire says of itself: the JSON Schema, the help and the registries.

use std::fmt::Write as _;
use std::path::Path;

use refire::models::ARCHITECTURES;
use refire::stages::KINDS;
use refire::tasks::TASKS;
use serde_json::Value;

use crate::support::Project;

/// Stands at the top of each page.
const WRITTEN: &str =
    "<!-- Written from what refire says of itself, by `just schema`: do not edit it. -->\n\n";

/// `REFIRE_UPDATE=1 cargo test --release the_reference` writes the pages anew.
#[test]
fn the_reference_in_the_book_is_what_refire_says() {
    let project = Project::new();
    let printed = project.refire(&["schema"]).succeeds().stdout();
    let schema: Value = serde_json::from_str(&printed).expect("JSON");
    let pages = [
        ("kinds", kinds(&schema["definitions"])),
        ("settings", settings(&schema)),
        ("tasks", tasks()),
        ("models", models()),
        ("verbs", verbs(&project)),
        ("exit-codes", exit_codes(&project)),
    ];
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/src/reference");
    for (name, text) in pages {
        let path = folder.join(format!("{name}.md"));
        if std::env::var_os("REFIRE_UPDATE").is_some() {
            refire::store::write_atomic(&path, text.as_bytes()).expect("writable");
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            committed == text,
            "docs/src/reference/{name}.md is out of date: run `just schema`"
        );
    }
}

/// A text as it stands in a cell of a table.
fn cell(text: &str) -> String {
    text.replace('\n', " ").replace('|', "\\|")
}

fn word<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_default()
}

/// The settings of a kind, in their order, without `kind` itself.
fn properties(kind: &Value) -> impl Iterator<Item = (&String, &Value)> {
    let all = kind["properties"].as_object();
    let all = all.expect("a kind has settings").iter();
    all.filter(|(name, _)| *name != "kind")
}

fn is_port(setting: &Value) -> bool {
    setting.to_string().contains("#/definitions/Port\"")
}

fn kinds(definitions: &Value) -> String {
    let mut text = format!("# Kinds of stages\n\n{WRITTEN}| kind | what it does |\n|---|---|\n");
    for kind in KINDS {
        let name = kind.name();
        let _ = writeln!(text, "| [`{name}`](#{name}) | {} |", cell(kind.about()));
    }
    text += "\nWhat each gives is in [the pipeline file](pipeline.md#kinds-of-stages).\n";
    for kind in KINDS {
        let name = kind.name();
        let schema = &definitions[name];
        let _ = write!(text, "\n## {name}\n\n{}\n", word(schema, "description"));
        let ports: Vec<_> = properties(schema)
            .filter(|(_, setting)| is_port(setting))
            .collect();
        if !ports.is_empty() {
            text += "\n| input | takes |\n|---|---|\n";
        }
        for (port, setting) in ports {
            let about = cell(word(setting, "description"));
            let _ = writeln!(text, "| `{port}` | {about} |");
        }
        let _ = writeln!(text, "\nIts [settings](settings.md#{name}).");
    }
    text
}

fn settings(schema: &Value) -> String {
    let definitions = &schema["definitions"];
    let mut text = format!("# Settings\n\n{WRITTEN}");
    text += "Instead of any value there may be a reference, such as `\"${params.NAME}\"`. Inputs are in [kinds](kinds.md).\n";
    for part in ["pipeline", "tracking"] {
        let schema = &schema["properties"][part];
        let _ = write!(text, "\n## {part}\n\n");
        text += &table(schema, definitions, &|_| true);
    }
    // What every kind has is said once.
    let schemas = || KINDS.iter().map(|kind| &definitions[kind.name()]);
    let is_common = |name: &str| schemas().all(|schema| schema["properties"].get(name).is_some());
    text += "\n## Every stage\n\n";
    let first = schemas().next().expect("there are kinds");
    text += &table(first, definitions, &is_common);
    for kind in KINDS {
        let _ = write!(text, "\n## {}\n\n", kind.name());
        let schema = &definitions[kind.name()];
        let is_own = |name: &str| !is_common(name) && !is_port(&schema["properties"][name]);
        text += &table(schema, definitions, &is_own);
    }
    text += "\n## Columns of a data schema\n\n`[columns.NAME]` in the file that `schema` of a `dataset` names.\n\n";
    text + &table(&definitions["ColumnRules"], definitions, &|_| true)
}

/// The settings of a schema whose names pass.
fn table(schema: &Value, definitions: &Value, passes: &dyn Fn(&str) -> bool) -> String {
    let required = schema["required"].as_array();
    let is_required = |name: &str| required.is_some_and(|names| names.iter().any(|it| it == name));
    let mut rows = String::new();
    for (name, setting) in properties(schema).filter(|(name, _)| passes(name)) {
        let default = match &setting["default"] {
            _ if is_required(name) => "needed".to_owned(),
            Value::Null => String::new(),
            value => format!("`{value}`"),
        };
        let _ = writeln!(
            rows,
            "| `{name}` | {} | {} | {} |",
            cell(&type_of(setting, definitions)),
            cell(&default),
            cell(word(setting, "description"))
        );
    }
    if rows.is_empty() {
        return "It has no settings but its inputs and those of every stage.\n".into();
    }
    format!("| setting | is | default | what it does |\n|---|---|---|---|\n{rows}")
}

/// What a value may be, in words; a reference is left out, since it may stand everywhere.
fn type_of(schema: &Value, definitions: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.trim_start_matches("#/definitions/");
        return match name {
            "reference" => String::new(),
            "Port" => "a stage".into(),
            name => type_of(&definitions[name], definitions),
        };
    }
    if let Some(value) = schema.get("const") {
        return format!("`{value}`");
    }
    let several = ["anyOf", "oneOf", "allOf"];
    if let Some(each) = several.iter().find_map(|key| schema[key].as_array()) {
        let each = each.iter().map(|one| type_of(one, definitions));
        let mut each: Vec<String> = each.filter(|one| !one.is_empty()).collect();
        each.dedup();
        return each.join(" or ");
    }
    if let Some(values) = schema["enum"].as_array() {
        let values = values.iter().filter(|value| !value.is_null());
        let values: Vec<String> = values.map(|value| format!("`{value}`")).collect();
        return values.join(" or ");
    }
    let types = match &schema["type"] {
        Value::Array(types) => types.iter().filter_map(Value::as_str).collect(),
        Value::String(one) => vec![one.as_str()],
        _ => Vec::new(),
    };
    let name = |one: &str| match one {
        "null" => None,
        "object" => Some("a table".to_owned()),
        "array" => {
            let items = type_of(&schema["items"], definitions);
            Some(match items.as_str() {
                "" => "a list".into(),
                items => format!("a list: {items}"),
            })
        }
        "string" => Some("a text".into()),
        "boolean" => Some("true or false".into()),
        "integer" => Some("a whole number".into()),
        other => Some(format!("a {other}")),
    };
    let names: Vec<String> = types.into_iter().filter_map(name).collect();
    names.join(" or ")
}

fn tasks() -> String {
    let mut text =
        format!("# Tasks and figures\n\n{WRITTEN}| `task =` | what it is |\n|---|---|\n");
    for task in TASKS {
        let _ = writeln!(text, "| [`{0}`](#{0}) | {1} |", task.name, cell(task.about));
    }
    text += "\nThe first figure of each chooses the best epoch, unless `metric_for_best_model` names another. Examples are in\n\
             [what a model is tuned to do](../how-to/tasks.md).\n";
    for task in TASKS {
        let keys = task.targets.keys(task.modality);
        let keys: Vec<String> = keys.iter().map(|key| format!("`{key}`")).collect();
        let _ = write!(
            text,
            "\n## {}\n\nTakes {}. Settings of its own, in [`finetune`](settings.md#finetune): {}.\n\n| figure | is | better |\n|---|---|---|\n",
            task.name,
            task.modality.name(),
            if keys.is_empty() {
                "none".to_owned()
            } else {
                keys.join(", ")
            },
        );
        for metric in task.targets.metrics() {
            let better = if metric.higher_is_better {
                "higher"
            } else {
                "lower"
            };
            let _ = writeln!(
                text,
                "| `{}` | {} | {better} |",
                metric.name,
                cell(metric.about)
            );
        }
    }
    text
}

fn models() -> String {
    let mut text = format!(
        "# Models\n\n{WRITTEN}`config.json` says which a folder holds, by `model_type`; of weights that come as a bare file the stage\n\
         `pretrained` says it, by `architecture`. [A model of your own](../how-to/own-model.md) tells more.\n\n\
         | network | takes | `model_type` | `architecture` |\n|---|---|---|---|\n"
    );
    let codes = |names: Vec<&str>| {
        let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        names.join(", ")
    };
    for network in ARCHITECTURES {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} |",
            network.name,
            network.modality.name(),
            codes(network.model_types.to_vec()),
            codes(network.checkpoints().collect()),
        );
    }
    text
}

/// The names of the verbs, in the order of help.
fn names_of_verbs(help: &str) -> Vec<&str> {
    let commands = help.split("Commands:\n").nth(1).expect("help lists them");
    let lines = commands.lines().take_while(|line| !line.is_empty());
    let lines = lines.filter_map(|line| line.strip_prefix("  "));
    let lines = lines.filter(|line| !line.starts_with(' '));
    let names = lines.filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").collect()
}

fn verbs(project: &Project) -> String {
    let mut text = format!(
        "# Verbs and their flags\n\n{WRITTEN}What `--help` says of each; `refire man` prints it as a page for `man`.\n"
    );
    let help = project.refire(&["--help"]).succeeds().stdout();
    for verb in names_of_verbs(&help) {
        let said = project.refire(&[verb, "--help"]).succeeds().stdout();
        let lines: Vec<&str> = said.lines().map(str::trim_end).collect();
        let _ = write!(
            text,
            "\n## {verb}\n\n```text\n{}\n```\n",
            lines.join("\n").trim_end()
        );
    }
    text
}

fn exit_codes(project: &Project) -> String {
    let help = project.refire(&["--help"]).succeeds().stdout();
    let listed = help.split("Exit codes: ").nth(1).expect("help lists them");
    let listed: Vec<&str> = listed.split_whitespace().collect();
    let listed = listed.join(" ");
    let mut text = format!("# Exit codes\n\n{WRITTEN}| code | means |\n|---|---|\n");
    for one in listed.trim_end_matches('.').split(", ") {
        let (code, means) = one.split_once(' ').expect("a code and what it means");
        let _ = writeln!(text, "| {code} | {} |", cell(means));
    }
    text
}
