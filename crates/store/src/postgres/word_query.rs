//! How words are searched in PostgreSQL.

use agentcafe_domain::search::query::WordQuery;

/// See [`ReadConnection`](crate::reads::ReadConnection).
pub(super) const DOCUMENTS_WITH_WORDS: &str = "FROM search_documents AS d
     WHERE words @@ $1::text::tsquery AND d.sequence < $2 ORDER BY d.sequence DESC LIMIT $3";

/// A query for words as PostgreSQL reads it.
pub(super) fn word_query(query: &WordQuery) -> String {
    let scopes = query.scopes.iter().map(|words| {
        let words: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
        format!("({})", words.join(" | "))
    });
    let phrases = query.phrases.iter().map(|phrase| {
        let words: Vec<String> = phrase.words.iter().map(|word| format!("'{word}'")).collect();
        format!("({}{})", words.join(" <-> "), if phrase.is_prefix { ":*" } else { "" })
    });
    phrases.chain(scopes).collect::<Vec<_>>().join(" & ")
}
