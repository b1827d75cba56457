//! Every function that is taken, called with whatever may be written between its brackets: an answer or an error, and nothing
//! else.

use polars::prelude::{Column, DataType, IntoColumn as _, NamedFrom as _, Series, TimeUnit};

use super::*;

/// What stands between the brackets: columns of every type, and values.
const ARGUMENTS: [&str; 18] = [
    "i",
    "x",
    "s",
    "b",
    "d",
    "m",
    "l",
    "n",
    "NULL",
    "1",
    "-1",
    "2.5",
    "'x'",
    "''",
    "'('",
    "TRUE",
    "*",
    "DISTINCT s",
];

fn columns() -> BTreeMap<String, Table> {
    let list = Series::new(
        "l".into(),
        [
            Series::new("".into(), [1i64, 2]),
            Series::new("".into(), [0i64; 0]),
        ],
    );
    let moment = |name: &str, dtype: &DataType| -> Column {
        let days = Series::new(name.into(), [1i32, -400_000]);
        days.cast(&DataType::Date)
            .and_then(|days| days.cast(dtype))
            .expect("cast")
            .into_column()
    };
    let frame = df!(
        "i" => [Some(1i64), None], "x" => [0.5, f64::NAN], "s" => [Some("a b"), None], "b" => [true, false],
        "n" => [None::<i64>, None],
    );
    let frame = frame.expect("a frame");
    let microseconds = DataType::Datetime(TimeUnit::Microseconds, None);
    let more = [
        moment("d", &DataType::Date),
        moment("m", &microseconds),
        list.into_column(),
    ];
    BTreeMap::from([("t".into(), table(frame.hstack(&more)))])
}

/// What stands between the brackets of a call of `count` arguments: all of them for one, and of more a part that differs from
/// function to function.
fn arguments(count: usize, function: usize) -> Vec<String> {
    let all = ARGUMENTS.len();
    let calls = [1, all, 60, 30, 12][count];
    let call = |call: usize| {
        let one = |place: usize| {
            ARGUMENTS[(call / all.pow(u32::try_from(place).unwrap_or(0))
                + place * (call + function))
                % all]
        };
        (0..count).map(one).collect::<Vec<_>>().join(", ")
    };
    (0..calls).map(call).collect()
}

#[test]
fn every_function_answers_or_refuses_whatever_it_is_called_with() {
    let tables = columns();
    let source = Arc::new(Source::new("query.sql", ""));
    let locate = |_| Span::new(&source, 0..0);
    let (mut answers, mut refused, mut stopped) = (0, 0, BTreeMap::new());
    for (number, function) in polars::sql::keywords::all_functions()
        .into_iter()
        .enumerate()
    {
        for count in 0..5 {
            for arguments in arguments(count, number) {
                let text = format!("SELECT {function}({arguments}) AS y FROM t");
                let answer = Query::parse(&text, &["t"], &locate)
                    .and_then(|query| query.run(&tables, &locate));
                match answer {
                    Ok(_) => answers += 1,
                    Err(error) if error.message().contains("polars stopped") => {
                        stopped.entry(function).or_insert(text);
                    }
                    Err(_) => refused += 1,
                }
            }
        }
    }
    println!("{answers} answers, {refused} refused; stopped: {stopped:#?}");
    assert!(answers > 500 && refused > 500, "{answers}, {refused}");
}

#[test]
fn a_function_that_needs_an_argument_is_refused_where_it_stands() {
    for function in ["GREATEST", "least"] {
        let (kind, message, place, _) = refusal(&format!("SELECT text, {function}() FROM reviews"));
        assert_eq!((kind, &*place), (Kind::Usage, function));
        assert_eq!(message, format!("`{function}` needs an argument"));
        let text = format!("SELECT {function}(label, stars) AS y FROM reviews");
        assert_eq!(column(&text, "y").len(), 4);
    }
}

#[test]
fn what_polars_stops_at_is_an_error_at_the_query() {
    let text = "SELECT CAST(CAST(2147483647 AS DATE) AS VARCHAR) AS y FROM reviews";
    let (kind, message, place, _) = refusal(text);
    assert_eq!((kind, &*place), (Kind::Stage, text));
    assert!(message.contains("polars stopped"), "{message}");
}

/// A query whose expression nests `times` times, in each of the ways that the parser does not count.
fn nested(times: usize) -> [String; 6] {
    let chain = |one: &str, by: &str| vec![one; times].join(by);
    [
        format!(
            "SELECT text FROM reviews WHERE {}",
            chain("label = 1", " OR ")
        ),
        format!(
            "SELECT text FROM reviews WHERE {}",
            chain("(label = 1)", " AND ")
        ),
        format!("SELECT {} AS y FROM reviews", chain("text", " || ")),
        format!("SELECT label{} AS y FROM reviews", "::INT".repeat(times)),
        format!(
            "SELECT CASE {} END AS y FROM reviews",
            "WHEN label = 1 THEN 2 ".repeat(times)
        ),
        format!(
            "{} LIMIT 1",
            chain("SELECT text FROM reviews", " UNION ALL ")
        ),
    ]
}

#[test]
fn what_goes_too_deep_is_refused_before_anything_goes_down_into_it() {
    for text in nested(5000).into_iter().chain(nested(200_000)) {
        let (kind, message, ..) = refusal(&text);
        assert_eq!(kind, Kind::Usage);
        assert!(message.starts_with("the query has more than"), "{message}");
    }
    for text in nested(300) {
        ask(&text).expect("not too deep");
    }
    let brackets = format!(
        "SELECT {}label{} FROM reviews",
        "(".repeat(5000),
        ")".repeat(5000)
    );
    assert_eq!(refusal(&brackets).0, Kind::Usage);
    let deepest = format!(
        "SELECT text FROM reviews WHERE {}",
        vec!["label = 1"; 1400].join(" OR ")
    );
    ask(&deepest).expect("the stack is large enough");
    let wide: Vec<String> = (0..5000).map(|number| number.to_string()).collect();
    ask(&format!(
        "SELECT text FROM reviews WHERE label IN ({})",
        wide.join(", ")
    ))
    .expect("wide is not deep");
}
