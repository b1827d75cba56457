//! What the outputs mean: the logits of a word's tags.

use super::figures::Measured;
use super::scheme::{Prefix, Scheme, Tag, lenient};
use super::settings::{Invalid, check_label, parsed};
use super::spans::{self, How, Tagged};
use crate::data::{Table, words};
use crate::error::{Error, Result};
use crate::models::{Card, Problem};
use crate::tasks::classes::probabilities;
use crate::tasks::{Given, Look, Naming, Outputs, Read, Report, Values};
use crate::train::{Mark, Marks, Targets};

/// Logits of tags, of which a word has one.
#[derive(Clone, Debug)]
pub(super) struct Tags {
    pub(super) labels: Vec<String>,
    /// The column with the words or texts; none where nobody says it.
    pub(super) text_column: Option<String>,
    /// The column with the tags or spans; none where nobody says it.
    pub(super) column: Option<String>,
    pub(super) scheme: Scheme,
    pub(super) invalid: Invalid,
}

impl Tags {
    pub(super) fn open(card: &Card, columns: Option<Vec<String>>) -> Result<Self> {
        let tuned = card.tuned_by();
        for label in &card.labels {
            check_label(label, None).map_err(|error| error.note("it is a label of the model"))?;
        }
        let scheme = match &card.scheme {
            Some(name) => Scheme::find(name)?,
            None => Scheme::of_labels(&parsed(&card.labels)),
        };
        let own = || tuned.word("target_column").map(String::from);
        Ok(Self {
            labels: card.labels.clone(),
            text_column: tuned.word("text_column").map(String::from),
            column: columns
                .and_then(|columns| columns.into_iter().next())
                .or_else(own),
            scheme,
            invalid: match tuned.word("invalid_tags") {
                Some("error") => Invalid::Error,
                _ => Invalid::Keep,
            },
        })
    }

    /// What the label of this number says.
    fn tag(&self, class: usize) -> Tag<'_> {
        let label = self.labels.get(class);
        label
            .and_then(|label| Tag::parse(label))
            .unwrap_or(Tag::OUTSIDE)
    }

    /// The probabilities of each word's labels, text by text; none for words that the network says nothing of.
    fn words(&self, outputs: &[f32], marks: &Marks) -> Result<Vec<Vec<Option<Vec<f64>>>>> {
        let width = self.labels.len();
        let probabilities = probabilities(outputs, width)?;
        let mut rows = probabilities.chunks_exact(width.max(1));
        let texts = marks.texts().into_iter().map(|text| {
            let words = text.iter().map(|mark| {
                let row = mark.place.and_then(|_| rows.next());
                row.map(<[f64]>::to_vec)
            });
            words.collect()
        });
        Ok(texts.collect())
    }

    /// The entities of a text, and how likely they are: the mean probability of its words' tags.
    fn entities(
        &self,
        said: &[Option<Vec<f64>>],
        words: &[String],
        cut: Option<&words::Cut>,
    ) -> Vec<words::Entity> {
        let tags: Vec<Tag<'_>> = said.iter().map(|word| self.said(word.as_deref())).collect();
        let found = lenient(&tags).into_iter();
        let entities = found.map(|entity| {
            let of_words = said[entity.words.clone()].iter().flatten();
            let likely = of_words.map(|row| row[most_likely(row)]);
            let (sum, count) =
                likely.fold((0.0, 0.0), |(sum, count), next| (sum + next, count + 1.0));
            #[expect(clippy::cast_possible_truncation, reason = "scores are written as f32")]
            let score = (sum / f64::max(count, 1.0)) as f32;
            let (place, text) = match cut {
                Some(cut) => {
                    let places = &cut.places[entity.words];
                    let place = places[0].start..places[places.len() - 1].end;
                    (place.clone(), cut.at(place))
                }
                None => (entity.words.clone(), words[entity.words].join(" ")),
            };
            words::Entity {
                label: entity.kind.to_owned(),
                start: number(place.start),
                end: number(place.end),
                text,
                score,
            }
        });
        entities.collect()
    }

    /// The most likely tag of a word; outside of everything if nothing is said of it.
    fn said(&self, word: Option<&[f64]>) -> Tag<'_> {
        word.map_or(Tag::OUTSIDE, |row| self.tag(most_likely(row)))
    }

    /// Tells of tags in `texts` that cannot stand where they do, or refuses the first.
    fn check_places(&self, texts: &[Vec<String>], column: &str) -> Result<Vec<String>> {
        let (mut count, mut first) = (0, None);
        for (row, tags) in texts.iter().enumerate() {
            let misplaced = self.scheme.misplaced(&parsed(tags));
            count += misplaced.len();
            first = first.or_else(|| {
                let word = *misplaced.first()?;
                Some(format!(
                    "`{}` in row {}, word {}",
                    tags[word],
                    row + 1,
                    word + 1
                ))
            });
        }
        let Some(first) = first else {
            return Ok(Vec::new());
        };
        let scheme = self.scheme.name();
        match self.invalid {
            Invalid::Error => Err(Error::stage(format!(
                "{first} of column `{column}` cannot stand there by the scheme {scheme}, and so it is with {count} in all"
            ))
            .help("repair them, or keep them: invalid_tags = \"keep\"")),
            Invalid::Keep => Ok(vec![format!(
                "{count} tags of column `{column}` cannot stand where they do by the scheme {scheme}, the first of them {first}: they \
                 are kept, and each that no entity leads to begins one; `invalid_tags = \"error\"` would refuse them"
            )]),
        }
    }
}

fn most_likely(row: &[f64]) -> usize {
    let better = |best, next| if row[next] > row[best] { next } else { best };
    (0..row.len()).fold(0, better)
}

fn number(word: usize) -> u32 {
    u32::try_from(word).unwrap_or(u32::MAX)
}

impl Outputs for Tags {
    fn names(&self) -> &[String] {
        &self.labels
    }

    fn set_text_column(&mut self, column: &str) {
        self.text_column = Some(column.to_owned());
    }

    fn write(&self, card: &mut Card) {
        card.problem = Problem::TokenClassification;
        card.labels.clone_from(&self.labels);
        card.thresholds.clear();
        card.scheme = Some(self.scheme.name().into());
    }

    fn read(&self, table: &Table) -> Result<Read> {
        let column = self.column.as_deref();
        let column = column.ok_or_else(|| crate::tasks::unknown_column("target_column"))?;
        let how = How {
            scheme: self.scheme,
            invalid: self.invalid,
            labels: Some(&self.labels),
        };
        let Tagged {
            tags: texts,
            mut told,
            ..
        } = spans::read(table, self.text_column.as_deref(), column, how)?;
        let known = || self.labels.iter().map(String::as_str);
        let mut samples = Vec::with_capacity(texts.len());
        for (row, tags) in texts.iter().enumerate() {
            let mut marks = Vec::with_capacity(tags.len());
            for (word, tag) in tags.iter().enumerate() {
                let class = self.labels.iter().position(|label| label == tag);
                let class = class.ok_or_else(|| {
                    let place = format!("row {}, word {}", row + 1, word + 1);
                    Error::stage(format!(
                        "{place} has the tag `{tag}` in column `{column}`, which is not in `labels`"
                    ))
                    .note(format!("`labels`: {}", self.labels.join(", ")))
                    .did_you_mean(tag, known())
                })?;
                marks.push(Mark {
                    class: number(class),
                    place: Some(number(word)),
                });
            }
            samples.push(marks);
        }
        let begins = vec![true; samples.len()];
        told.extend(self.check_places(&texts, column)?);
        Ok(Read {
            told,
            targets: Targets::Tokens(Marks { samples, begins }),
        })
    }

    fn look(&self, port: &str, sample: &str, targets: &Targets) -> Result<Look> {
        let marks = targets.marks();
        let mut counts = vec![0_usize; self.labels.len()];
        for mark in marks.samples.iter().flatten() {
            counts[mark.class as usize] += 1;
        }
        let pairs = self.labels.iter().zip(&counts);
        let counted: Vec<_> = pairs
            .map(|(label, count)| format!("{label} {count}"))
            .collect();
        let words: usize = counts.iter().sum();
        if port == "train" && words == 0 && !marks.samples.is_empty() {
            return Err(Error::stage(format!("no {sample} of `train` has a word"))
                .help("look at how the table was made"));
        }
        let so = match port {
            "train" => "the model cannot learn it",
            _ => "it cannot be measured",
        };
        let missing = self.labels.iter().zip(&counts);
        let missing: Vec<_> = missing
            .filter(|(_, count)| **count == 0 && words > 0)
            .map(|(label, _)| format!("`{label}`"))
            .collect();
        let mut told = Vec::new();
        if !missing.is_empty() {
            let missing = missing.join(", ");
            told.push(format!("no word of `{port}` has the tag {missing}: {so}"));
        }
        let empty = marks
            .samples
            .iter()
            .filter(|words| words.is_empty())
            .count();
        if empty > 0 {
            told.push(format!("{empty} {sample}s of `{port}` have no word"));
        }
        Ok(Look {
            told,
            counted: counted.join(", "),
        })
    }

    fn further(&self, class: u32) -> u32 {
        let tag = self.tag(class as usize);
        let inside = Tag {
            prefix: Prefix::I,
            ..tag
        };
        let found = (0..self.labels.len()).find(|class| self.tag(*class) == inside);
        match tag.prefix {
            Prefix::B => found.map_or(class, number),
            _ => class,
        }
    }

    fn score(&self, outputs: &[f32], targets: &Targets) -> Result<Report> {
        let marks = targets.marks();
        let said = self.words(outputs, marks)?;
        let mut measured = Measured::new(self.scheme);
        for (said, text) in said.iter().zip(marks.texts()) {
            let tags: Vec<Tag<'_>> = said.iter().map(|word| self.said(word.as_deref())).collect();
            let truth: Vec<Tag<'_>> = text
                .iter()
                .map(|mark| self.tag(mark.class as usize))
                .collect();
            measured.add(&tags, &truth);
            for (word, mark) in said.iter().zip(&text) {
                if let Some(row) = word {
                    measured.add_probability(row[mark.class as usize]);
                }
            }
        }
        Ok(measured.report())
    }

    fn truth(&self, targets: &Targets) -> Vec<(String, Values)> {
        let label = |mark: &Mark| self.labels[mark.class as usize].clone();
        let texts = targets.marks().texts();
        let lists = texts.iter().map(|text| text.iter().map(label).collect());
        let lists = Values::Lists(lists.collect(), " ".into());
        vec![("truth".into(), lists)]
    }

    /// The mean over the words that the network says something of.
    fn losses(&self, outputs: &[f32], targets: &Targets) -> Result<Option<Values>> {
        let marks = targets.marks();
        let texts = self.words(outputs, marks)?.into_iter().zip(marks.texts());
        let losses = texts.map(|(said, text)| {
            let mut measured = Measured::new(self.scheme);
            for (word, mark) in said.iter().zip(&text) {
                if let Some(row) = word {
                    measured.add_probability(row[mark.class as usize]);
                }
            }
            measured.log_loss()
        });
        Ok(Some(Values::Figures(losses.collect())))
    }

    fn columns(&self, names: &Naming<'_>) -> Vec<String> {
        let prefix = names.prefix;
        let words = names.of_texts.then(|| format!("{prefix}words"));
        let mut columns: Vec<String> = words.into_iter().collect();
        columns.extend([format!("{prefix}labels"), format!("{prefix}entities")]);
        if names.raw {
            columns.extend(self.labels.iter().map(|label| names.score(label)));
        }
        columns
    }

    fn values(&self, given: &Given<'_>) -> Result<Vec<Values>> {
        let (words, marks) = given.of_words();
        let said = self.words(given.outputs, marks)?;
        let outside = self.labels.iter().position(|label| label == "O");
        let labels = said.iter().map(|text| {
            let label = |word: &Option<Vec<f64>>| {
                let class = word.as_deref().map(most_likely).or(outside);
                class.map_or_else(|| "O".into(), |class| self.labels[class].clone())
            };
            text.iter().map(label).collect()
        });
        let cut = |text: usize| words.cut.as_ref().map(|cut| &cut[text]);
        let texts = said.iter().zip(&words.words).enumerate();
        let entities = texts.map(|(text, (said, words))| self.entities(said, words, cut(text)));
        let lists = |lists| Values::Lists(lists, " ".into());
        let of_texts = words.cut.as_ref().map(|_| lists(words.words.clone()));
        let mut values: Vec<Values> = of_texts.into_iter().collect();
        values.extend([
            lists(labels.collect()),
            Values::Entities(entities.collect()),
        ]);
        if given.raw {
            let width = self.labels.len();
            let columns = (0..width).map(|label| {
                let mut rows = given.outputs.chunks_exact(width);
                let texts = said.iter().map(|text| {
                    let logit = |word: &Option<Vec<f64>>| {
                        word.as_ref()?;
                        rows.next().map(|row| row[label])
                    };
                    text.iter().map(logit).collect()
                });
                Values::NumberLists(texts.collect())
            });
            values.extend(columns);
        }
        Ok(values)
    }
}
