//! `export`: a tuned model as a folder that Python's libraries load.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::{ArtifactType, Input, Output, Port, Stage, StageContext, StageKind};
use crate::config::{Table, from_table};
use crate::error::Result;
use crate::fingerprint::{Manifest, describe};
use crate::models;

/// The kind `export`.
pub(super) struct ExportKind;

const MODEL: &str = "model";
const FILES: &str = "files";

/// A tuned model as a folder that Python's libraries load: a text model by transformers, an image network by transformers, torchvision
/// or timm. Its README.md says how.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// The tuned model.
    model: Port,
    /// Whether to write adapters and the head alone, as a folder that peft loads onto the model that they were put on. Adapters are
    /// otherwise merged into the weights of their layers. Only for networks that transformers has a class for. Default: false.
    #[serde(default, skip_serializing_if = "is_off")]
    adapter: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn is_off(setting: &bool) -> bool {
    !setting
}

impl StageKind for ExportKind {
    fn name(&self) -> &'static str {
        "export"
    }

    fn about(&self) -> &'static str {
        "writes a tuned model as transformers, torchvision and timm load it"
    }

    /// 2: every image model says how photos are prepared. 3: the folder says what its outputs mean, and that it takes pairs.
    fn version(&self) -> u32 {
        3
    }

    fn parse(&self, table: &Table) -> Result<Box<dyn Stage>> {
        let settings = from_table(table)?;
        Ok(Box::new(Export { settings }))
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<Settings>()
    }
}

struct Export {
    settings: Settings,
}

impl Stage for Export {
    fn inputs(&self) -> Vec<Input> {
        vec![Input {
            port: MODEL.into(),
            accepts: &[ArtifactType::Model],
            from: self.settings.model.clone(),
        }]
    }

    fn outputs(&self) -> Vec<Output> {
        vec![Output::new(FILES, ArtifactType::Files)]
    }

    fn describe(&self, key: &mut dyn Manifest) {
        describe(key, &self.settings, &[]);
    }

    fn run(&self, cx: &mut StageContext<'_>) -> Result<()> {
        let (model, files) = (cx.input(MODEL), cx.output(FILES));
        let how = if self.settings.adapter {
            models::export_adapter(model, files)?
        } else {
            models::export(model, files)?
        };
        for line in how.lines() {
            cx.log(line);
        }
        Ok(())
    }
}
