//! The document: its head, its sections, the style and the script in it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest as _, Sha256};

use super::graph;
use super::stages;
use super::written::{anchor, digest};
use super::{
    Page, Stage, chart, data, evaluation, matrix, mistakes, model, revisions, runs, summary,
};
use crate::names;
use crate::report::figures;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// How a page stays as it is, or follows what happens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keeping {
    /// It is a file, and asks nobody for anything.
    #[default]
    Still,
    /// It is served, and asks now and then whether there is another one.
    Fresh,
}

/// Whether a file that begins so is a page that refire has written.
#[must_use]
pub fn is_page(beginning: &[u8]) -> bool {
    beginning.starts_with(names::PAGE_MARK.as_bytes())
}

/// A page that says why there is none, such as a mistake in the pipeline file, and follows what happens.
#[must_use]
pub fn render_error(error: &str) -> String {
    let content = html! {
        header { p.product { "refire report" } h1 { "No report" } }
        main #main tabindex="-1" {
            div.failures role="group" aria-label="Failures" { p { span.sign.failed aria-hidden="true" { "✕ " } (error) } }
            p.quiet { "This page loads anew when that has changed." }
        }
    };
    document("refire report", Keeping::Fresh, &content)
}

/// The page as HTML.
#[must_use]
pub fn render(page: &Page, keeping: Keeping) -> String {
    let content = html! {
        (summary::head(page))
        (navigation(page))
        main #main tabindex="-1" {
            (summary::draw(page))
            (pipeline(page))
            @for section in sections(page) {
                section id=(section.id) aria-labelledby={ (section.id) "-title" } {
                    h2 id={ (section.id) "-title" } { (section.title) }
                    (section.content)
                }
            }
        }
        footer { "Made by refire " (env!("CARGO_PKG_VERSION")) " on " (page.made) }
    };
    document(&format!("{} – refire report", page.name), keeping, &content)
}

/// A document around `content`.
fn document(title: &str, keeping: Keeping, content: &Markup) -> String {
    let policy = policy(keeping);
    let served = keeping == Keeping::Fresh;
    let whole = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="generator" content={ "refire " (env!("CARGO_PKG_VERSION")) };
                meta http-equiv="Content-Security-Policy" content=(policy);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                link rel="icon" href="data:,";
                style { (PreEscaped(STYLE)) }
            }
            body data-served[served] {
                a.skip href="#main" { "Skip to the content" }
                (content)
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    whole.into_string()
}

/// What the browser may load: what stands in the page, and its own script by its digest. So even a mistake in escaping would load and
/// run nothing.
fn policy(keeping: Keeping) -> String {
    let script = STANDARD.encode(Sha256::digest(SCRIPT.as_bytes()));
    let connect = match keeping {
        Keeping::Still => "",
        Keeping::Fresh => "; connect-src 'self'",
    };
    format!(
        "default-src 'none'; script-src 'sha256-{script}'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'{connect}"
    )
}

/// A part of the page with a head of its own.
struct Section {
    id: &'static str,
    title: &'static str,
    content: Markup,
}

/// Those sections that have something to show.
fn sections(page: &Page) -> Vec<Section> {
    let all = [
        ("results", "Results", results(page)),
        ("matrices", "Experiments", experiments(page)),
        ("training", "Training", training(page)),
        ("revisions", "Revisions", revisions::draw(page)),
        ("data", "Data", tables(page)),
        (
            "runs",
            "Runs",
            if page.runs.is_empty() {
                html! {}
            } else {
                runs::draw(page)
            },
        ),
        ("provenance", "Provenance", provenance(page)),
    ];
    let all = all
        .into_iter()
        .map(|(id, title, content)| Section { id, title, content });
    all.filter(|section| !section.content.0.is_empty())
        .collect()
}

fn navigation(page: &Page) -> Markup {
    html! {
        nav aria-label="Sections" {
            a href="#summary" { "Summary" }
            a href="#pipeline" { "Pipeline" }
            @for section in sections(page) { a href={ "#" (section.id) } { (section.title) } }
        }
    }
}

fn pipeline(page: &Page) -> Markup {
    html! {
        section #pipeline aria-labelledby="pipeline-title" {
            h2 #pipeline-title { "Pipeline" }
            @if page.stages.is_empty() { p.quiet { "The pipeline has no stages." } }
            @else { div.split { (graph::draw(page)) (stages::list(page)) } }
        }
    }
}

/// A stage's name over what it came to.
fn headed(page: &Page, stage: &Stage, content: &Markup) -> Markup {
    let place = page
        .stages
        .iter()
        .position(|known| std::ptr::eq(known, stage))
        .unwrap_or(0);
    html! {
        @if !content.0.is_empty() {
            article {
                h3 {
                    (stages::sign(stage.standing)) " "
                    a href={ "#" (anchor(place)) } data-stage=(place) { (stage.name) }
                    " " span.kind { (stage.kind) }
                }
                (content)
            }
        }
    }
}

fn results(page: &Page) -> Markup {
    let of = |stage: &Stage| {
        let alone = !stage.is_instance();
        html! {
            @if alone && !stage.figures.is_empty() && (stage.evaluation.is_some() || stage.curves.is_empty()) && stage.comparison.is_none() {
                (stages::figures_table(stage))
            }
            @if let Some(tested) = &stage.evaluation { (evaluation::draw(tested)) }
            @if let Some(wrong) = &stage.mistakes { (mistakes::draw(wrong)) }
        }
    };
    html! { @for stage in &page.stages { (headed(page, stage, &of(stage))) } }
}

fn experiments(page: &Page) -> Markup {
    html! {
        @for matrix in &page.matrices {
            article {
                h3 { (matrix.stage) " " span.kind { "matrix" } }
                (matrix::draw(matrix))
            }
        }
        @for stage in &page.stages {
            @if let Some(grid) = &stage.comparison {
                (headed(page, stage, &html! {
                    (matrix::grid(grid, &stage.name))
                    @if stage.figures.iter().any(|figure| figure.gate.is_some()) { (stages::figures_table(stage)) }
                }))
            }
        }
    }
}

fn training(page: &Page) -> Markup {
    let of = |stage: &Stage| {
        html! {
            @if !stage.curves.is_empty() { div.row { @for curves in &stage.curves { (chart::draw(curves)) } } }
            @if let Some(card) = &stage.model { (model::draw(card)) }
        }
    };
    html! { @for stage in &page.stages { (headed(page, stage, &of(stage))) } }
}

fn tables(page: &Page) -> Markup {
    let port = |stage: &Stage, port: &str| html! { @if stage.outputs.len() > 1 { h4 { (port) } } };
    let of = |stage: &Stage| {
        html! {
            @if !stage.tables.is_empty() || !stage.images.is_empty() {
                div.row {
                    @for (name, profile) in &stage.tables { div.block.table { (port(stage, name)) (data::table(profile)) } }
                    @for (name, profile) in &stage.images { div.block { (port(stage, name)) (data::images(profile)) } }
                }
            }
        }
    };
    html! { @for stage in &page.stages { (headed(page, stage, &of(stage))) } }
}

/// Where everything comes from: a row a stage.
fn provenance(page: &Page) -> Markup {
    html! {
        dl.facts {
            dt { "pipeline seed" } dd { code { (page.seed) } }
            dt { "device" } dd { code { (page.device) } }
            dt { "refire" } dd { code { (env!("CARGO_PKG_VERSION")) } }
            @if let Some(run) = &page.run { dt { "last run" } dd { code { (run.run) } } }
        }
        @if !page.params.is_empty() {
            h4 { "Params" }
            table.settings {
                tbody { @for (name, value) in &page.params { tr { th scope="row" { (name) } td { code { (value) } } } } }
            }
        }
        @if !page.stages.is_empty() {
            h4 { "Stages" }
            div.wide tabindex="0" role="group" aria-label="provenance of stages" {
                table.sortable {
                    thead {
                        tr {
                            th scope="col" { "stage" } th scope="col" { "kind" } th scope="col" { "key" } th scope="col" { "recipe" }
                            th scope="col" { "outputs" } th.number scope="col" { "seed" } th scope="col" { "device" } th.number scope="col" { "time" }
                        }
                    }
                    tbody {
                        @for (place, stage) in page.stages.iter().enumerate() {
                            tr {
                                th scope="row" { a href={ "#" (anchor(place)) } data-stage=(place) { (stage.name) } }
                                td { (stage.kind) } td { (digest(&stage.key)) } td { (digest(&stage.recipe)) }
                                td { @for output in &stage.outputs { @if !output.digest.is_empty() { (digest(&output.digest)) " " } } }
                                td.number { (stage.seed) } td { (stage.device) }
                                td.number data-value=[stage.seconds] { @if let Some(seconds) = stage.seconds { (figures::seconds(seconds)) } }
                            }
                        }
                    }
                }
            }
        }
    }
}
