//! How words are searched in an embedded store.

use agentcafe_domain::search::query::WordQuery;

/// See [`ReadConnection`](crate::reads::ReadConnection). `CROSS JOIN` keeps the order of the tables: the words come first.
pub(super) const DOCUMENTS_WITH_WORDS: &str =
    "FROM search_words CROSS JOIN search_documents AS d ON d.sequence = search_words.rowid
     WHERE search_words MATCH $1 AND search_words.rowid < $2 ORDER BY search_words.rowid DESC LIMIT $3";

/// A query for words as FTS5 reads it.
pub(super) fn word_query(query: &WordQuery) -> String {
    let scopes = query.scopes.iter().map(|words| {
        let words: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
        format!("({})", words.join(" OR "))
    });
    let phrases = query.phrases.iter().map(|phrase| {
        let prefix = if phrase.is_prefix { " *" } else { "" };
        format!("\"{}\"{prefix}", phrase.words.join(" "))
    });
    phrases.chain(scopes).collect::<Vec<_>>().join(" AND ")
}
