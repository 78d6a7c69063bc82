//! Names of components. utoipa names a generic type by its outer name only, so two instances would overwrite each
//! other's schema; the compiler's type name distinguishes them.

use utoipa::ToSchema;

/// Returns the name of a type's component. That of a generic type is made of both names: `Version<PromptSpec>`
/// becomes `PromptVersion`.
pub fn component_name<T: ToSchema>() -> String {
    let last = |path: &str| path.rsplit("::").next().unwrap_or_default().to_owned();
    let Some((outer, inner)) = std::any::type_name::<T>().split_once('<') else {
        return T::name().into_owned();
    };
    let inner = match &*last(inner.trim_end_matches('>')) {
        "PromptSpec" => "Prompt".to_owned(),
        "RuntimeSpec" => "RuntimeConfig".to_owned(),
        "ToolSpec" => "Tool".to_owned(),
        // `File` and `FileList` are types of every browser.
        "File" => "StoredFile".to_owned(),
        other => other.to_owned(),
    };
    match &*last(outer) {
        "Artifact" => inner,
        "CreateVersion" => format!("Create{inner}Version"),
        outer => format!("{inner}{outer}"),
    }
}
