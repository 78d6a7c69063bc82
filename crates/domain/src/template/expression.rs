//! Expressions: from the tokens of a tag to a tree whose depth is bounded.

use serde_json::Value;

use super::{
    fault::Fault,
    filters,
    lexer::Token,
    names::Lookup,
    tokens::{RESERVED, Tokens},
    tree::{Compare, Expr, Step},
};

type Parsed<T> = Result<T, Fault>;

/// Parses the rest of a tag as one expression.
pub(super) fn read(mut tokens: Tokens<'_>) -> Parsed<Expr> {
    let expression = tokens.any()?;
    match tokens.peek() {
        Some(token) => {
            let message = format!("`{}` is not expected here", token.text());
            Err(tokens.fault(message))
        }
        None => Ok(expression),
    }
}

impl Tokens<'_> {
    fn any(&mut self) -> Parsed<Expr> {
        let mut parts = vec![self.all()?];
        while self.take_word("or") {
            parts.push(self.all()?);
        }
        Ok(match parts.len() {
            1 => parts.remove(0),
            _ => Expr::Any(parts),
        })
    }

    fn all(&mut self) -> Parsed<Expr> {
        let mut parts = vec![self.not()?];
        while self.take_word("and") {
            parts.push(self.not()?);
        }
        Ok(match parts.len() {
            1 => parts.remove(0),
            _ => Expr::All(parts),
        })
    }

    fn not(&mut self) -> Parsed<Expr> {
        if self.take_word("not") {
            let inner = self.deeper(Self::not)?;
            return Ok(Expr::Not(Box::new(inner)));
        }
        self.comparison()
    }

    fn comparison(&mut self) -> Parsed<Expr> {
        let left = self.steps()?;
        if self.take_word("is") {
            return self.test(left);
        }
        let Some(how) = self.compare()? else {
            return Ok(left);
        };
        let right = self.steps()?;
        Ok(Expr::Compare(Box::new(left), how, Box::new(right)))
    }

    fn compare(&mut self) -> Parsed<Option<Compare>> {
        for (sign, how) in [
            ("==", Compare::Equal),
            ("!=", Compare::Unequal),
            ("<=", Compare::LessOrEqual),
            (">=", Compare::GreaterOrEqual),
            ("<", Compare::Less),
            (">", Compare::Greater),
        ] {
            if self.take_sign(sign) {
                return Ok(Some(how));
            }
        }
        if self.take_word("in") {
            return Ok(Some(Compare::In));
        }
        if !self.take_word("not") {
            return Ok(None);
        }
        match self.take_word("in") {
            true => Ok(Some(Compare::NotIn)),
            false => Err(self.fault("`in` is missing")),
        }
    }

    fn test(&mut self, left: Expr) -> Parsed<Expr> {
        let left = Box::new(left);
        let wanted = !self.take_word("not");
        for (word, test) in [
            ("defined", Expr::IsDefined(left.clone(), wanted)),
            ("undefined", Expr::IsDefined(left.clone(), !wanted)),
            ("none", Expr::IsNone(left, wanted)),
        ] {
            if self.take_word(word) {
                return Ok(test);
            }
        }
        Err(self.fault("there are the tests `defined`, `undefined` and `none`"))
    }

    /// A value with the fields, indexes and filters that are applied to it.
    fn steps(&mut self) -> Parsed<Expr> {
        let looked_up = self.scope.lookups.len();
        let base = self.operand()?;
        let is_lookup = matches!(base, Expr::Name(_)) && self.scope.lookups.len() > looked_up;
        let mut steps = Vec::new();
        loop {
            if self.take_sign(".") {
                steps.push(Step::Field(self.name()?));
            } else if self.take_sign("[") {
                steps.push(Step::Index(self.deeper(Self::any)?));
                self.expect_sign("]")?;
            } else if self.take_sign("|") {
                steps.push(self.filter()?);
            } else {
                break;
            }
        }
        if is_lookup {
            self.scope.lookups[looked_up].field = match steps.first() {
                Some(Step::Field(field)) => Some(field.clone()),
                Some(Step::Index(Expr::Literal(Value::String(field)))) => Some(field.clone()),
                _ => None,
            };
        }
        Ok(match steps.is_empty() {
            true => base,
            false => Expr::Steps(Box::new(base), steps),
        })
    }

    fn filter(&mut self) -> Parsed<Step> {
        let fault = self.fault("");
        let name = self.name()?;
        let filter = filters::find(&name).map_err(|message| Fault { message, ..fault })?;
        let mut arguments = Vec::new();
        if self.take_sign("(") && !self.take_sign(")") {
            loop {
                arguments.push(self.deeper(Self::any)?);
                if !self.take_sign(",") {
                    break;
                }
            }
            self.expect_sign(")")?;
        }
        let (least, most) = filter.arguments;
        if !(least..=most).contains(&arguments.len()) {
            let message = format!("the filter `{name}` takes {least} to {most} values in brackets");
            return Err(self.fault(message));
        }
        Ok(Step::Filter(filter, arguments))
    }

    fn operand(&mut self) -> Parsed<Expr> {
        let Some((token, at)) = self.take() else {
            return Err(self.fault("the tag is not complete"));
        };
        match token {
            Token::Literal(value) => Ok(Expr::Literal(value)),
            Token::Name(name) => self.word(name, at),
            Token::Sign("(") => {
                let inner = self.deeper(Self::any)?;
                self.expect_sign(")")?;
                Ok(inner)
            }
            Token::Sign("[") => self.list(),
            Token::Sign(sign) => Err(Fault::new(at, format!("`{sign}` is not expected here"))),
        }
    }

    /// A name, or a literal that looks like one.
    fn word(&mut self, name: String, at: usize) -> Parsed<Expr> {
        let literal = match &*name {
            "true" | "True" => Value::Bool(true),
            "false" | "False" => Value::Bool(false),
            "none" | "None" => Value::Null,
            word if RESERVED.contains(&word) => {
                return Err(Fault::new(at, format!("`{name}` is not expected here")));
            }
            _ => {
                if !self.scope.names.contains(&name) {
                    self.scope.lookups.push(Lookup {
                        name: name.clone(),
                        field: None,
                        is_alone: false,
                    });
                }
                return Ok(Expr::Name(name));
            }
        };
        Ok(Expr::Literal(literal))
    }

    /// A list of literals, which is a literal itself.
    fn list(&mut self) -> Parsed<Expr> {
        let mut items = Vec::new();
        while !self.take_sign("]") {
            if !items.is_empty() {
                self.expect_sign(",")?;
            }
            let at = self.fault("");
            match self.operand_of_list()? {
                Expr::Literal(item) if !item.is_array() => items.push(item),
                _ => {
                    let message = "a list holds strings, numbers, `true`, `false` and `none`";
                    return Err(Fault::new(at.at, message));
                }
            }
        }
        Ok(Expr::Literal(Value::Array(items)))
    }

    fn operand_of_list(&mut self) -> Parsed<Expr> {
        match self.peek() {
            Some(Token::Literal(_) | Token::Name(_)) => self.operand(),
            _ => Err(self.fault("a literal is expected")),
        }
    }
}
