//! How deep a query goes, before anything goes down into it: polars does so by recursion, and takes the square of the depth in
//! time.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Span, Token, TokenWithSpan};

/// The most operators and keywords in one expression, with what stands around it.
const LIMIT: usize = 3000;

/// The most of `SELECT` in a query: a table that is defined by another one goes as deep as that.
const SELECTS: usize = 1000;

/// Where the query goes deeper than is good for it, and what it has too much of.
///
/// Whatever nests, in a chain of operators, cases, joins and unions as well as in brackets, does so by a token that is neither
/// a name nor a value; a comma begins something new.
pub(super) fn too_deep(tokens: &[TokenWithSpan]) -> Option<(Span, String)> {
    let mut open = Vec::new();
    let (mut around, mut here, mut selects) = (0_usize, 0, 0);
    for TokenWithSpan { token, span } in tokens {
        match token {
            Token::LParen | Token::LBracket | Token::LBrace => {
                open.push(here);
                around += here + 1;
                here = 0;
            }
            Token::RParen | Token::RBracket | Token::RBrace => {
                let outer = open.pop().unwrap_or(0);
                around = around.saturating_sub(outer + 1);
                // What follows goes on from the bracket.
                here = outer + 1;
            }
            Token::Comma | Token::SemiColon => here = 0,
            token => here += usize::from(nests(token)),
        }
        if matches!(token, Token::Word(word) if word.keyword == Keyword::SELECT) {
            selects += 1;
        }
        if around + here > LIMIT {
            let what = format!("{LIMIT} operators and keywords in one expression");
            return Some((*span, what));
        }
        if selects > SELECTS {
            return Some((*span, format!("{SELECTS} queries")));
        }
    }
    None
}

fn nests(token: &Token) -> bool {
    match token {
        Token::Word(word) => word.quote_style.is_none() && word.keyword != Keyword::NoKeyword,
        Token::Whitespace(_)
        | Token::Number(..)
        | Token::SingleQuotedString(_)
        | Token::DoubleQuotedString(_)
        | Token::Period
        | Token::EOF => false,
        _ => true,
    }
}
