//! Reads the modules of a crate from its sources: the items they declare, their imports, and the paths they name.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path as FilePath;

use proc_macro2::{Span, TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, ImplItem, Item, Meta, UseTree, Visibility};

/// Source files by their path below the crate's `src`, with `/` between folders.
pub type Sources = BTreeMap<String, String>;

/// Returns all `.rs` files below a folder.
pub fn sources(folder: &FilePath) -> Sources {
    let mut found = Sources::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).unwrap_or_else(|e| panic!("{}: {e}", next.display())) {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let below = path.strip_prefix(folder).unwrap();
                let parts: Vec<_> = below.iter().map(|part| part.to_str().unwrap()).collect();
                found.insert(parts.join("/"), fs::read_to_string(&path).unwrap());
            }
        }
    }
    found
}

/// The names from the crate's root down to a module. The path of the root is empty.
pub type ModulePath = Vec<String>;

/// A path that the code of a module names.
#[derive(Debug, Clone)]
pub struct Reference {
    pub segments: Vec<String>,
    pub file: String,
    pub line: usize,
}

/// One module, without code that exists only in tests.
#[derive(Debug, Default)]
pub struct Module {
    /// Items that are declared here.
    own: Vec<String>,
    /// Imported names, and the path that each stands for.
    imported: BTreeMap<String, Vec<String>>,
    /// Modules that are imported with `*`.
    globs: Vec<Vec<String>>,
    /// Every path in `use`, and every other path that begins with `crate`, `self` or `super`.
    pub references: Vec<Reference>,
}

/// All modules of a crate.
#[derive(Debug, Default)]
pub struct Tree {
    pub modules: BTreeMap<ModulePath, Module>,
}

impl Tree {
    /// Reads all modules that can be reached from `lib.rs`.
    pub fn read(sources: &Sources) -> Self {
        let mut tree = Self::default();
        tree.read_file(sources, "lib.rs", Vec::new());
        tree
    }

    fn read_file(&mut self, sources: &Sources, file: &str, path: ModulePath) {
        let text = sources.get(file).unwrap_or_else(|| panic!("no file {file}"));
        let parsed = syn::parse_file(text).unwrap_or_else(|e| panic!("{file}: {e}"));
        self.read_items(sources, file, path, &parsed.items);
    }

    fn read_items(&mut self, sources: &Sources, file: &str, path: ModulePath, items: &[Item]) {
        let mut module = Module::default();
        for item in items.iter().filter(|item| !only_in_tests(attributes(item))) {
            match item {
                Item::Mod(declared) => {
                    let name = name(&declared.ident);
                    let child = [path.clone(), vec![name]].concat();
                    match &declared.content {
                        Some((_, items)) => self.read_items(sources, file, child, items),
                        None => self.read_file(sources, &file_of(sources, &child), child),
                    }
                }
                Item::Use(import) => module.import(&import.tree, Vec::new(), file),
                item => {
                    module.own.extend(declared_name(item));
                    Paths { module: &mut module, file }.visit_item(item);
                }
            }
        }
        self.modules.insert(path, module);
    }

    /// Returns the modules that a path named in `from` passes through, up to the module that declares the item.
    /// Returns nothing if the path leads out of the crate.
    pub fn resolve(&self, from: &ModulePath, segments: &[String]) -> Vec<ModulePath> {
        let mut passed = Vec::new();
        self.walk(from, segments, &mut passed, &mut Vec::new());
        passed
    }

    /// Follows a path and returns where it ends. `open` holds the names that are being looked up, so that no
    /// lookup asks for itself.
    fn walk(
        &self,
        from: &ModulePath,
        segments: &[String],
        passed: &mut Vec<ModulePath>,
        open: &mut Vec<(ModulePath, String)>,
    ) -> End {
        let mut at = from.clone();
        let mut rest = segments;
        let mut is_first = true;
        while let Some((segment, others)) = rest.split_first() {
            match segment.as_str() {
                "crate" => at = Vec::new(),
                "self" => {}
                "super" => {
                    at.pop();
                }
                name => match self.step(&at, name, passed, open) {
                    Some(End::Module(next)) => at = next,
                    Some(End::Item) => return End::Item,
                    // The name of another crate, or of something that a macro makes.
                    None if is_first => return End::Outside,
                    None => return End::Item,
                    Some(End::Outside) => return End::Outside,
                },
            }
            passed.push(at.clone());
            (rest, is_first) = (others, false);
        }
        End::Module(at)
    }

    /// Returns what a name means in a module; `None` if the name is not from there.
    fn step(
        &self,
        at: &ModulePath,
        name: &str,
        passed: &mut Vec<ModulePath>,
        open: &mut Vec<(ModulePath, String)>,
    ) -> Option<End> {
        let child = [at.clone(), vec![name.to_owned()]].concat();
        if self.modules.contains_key(&child) {
            return Some(End::Module(child));
        }
        let module = self.modules.get(at)?;
        if module.own.iter().any(|own| own == name) {
            return Some(End::Item);
        }
        let asked = (at.clone(), name.to_owned());
        if open.contains(&asked) {
            return None;
        }
        open.push(asked);
        let end = match module.imported.get(name) {
            Some(path) => Some(self.walk(at, path, passed, open)),
            None => module.globs.iter().find_map(|glob| {
                let mut through = Vec::new();
                let End::Module(source) = self.walk(at, glob, &mut through, open) else { return None };
                let end = self.step(&source, name, &mut through, open)?;
                passed.append(&mut through);
                Some(end)
            }),
        };
        open.pop();
        end
    }
}

enum End {
    Module(ModulePath),
    Item,
    /// Leads to another crate.
    Outside,
}

impl Module {
    fn import(&mut self, tree: &UseTree, mut path: Vec<String>, file: &str) {
        let (alias, span) = match tree {
            UseTree::Path(part) => {
                path.push(name(&part.ident));
                return self.import(&part.tree, path, file);
            }
            UseTree::Group(group) => {
                return group.items.iter().for_each(|tree| self.import(tree, path.clone(), file));
            }
            UseTree::Glob(glob) => {
                self.globs.push(path.clone());
                return self.refer(path, file, glob.star_token.spans[0]);
            }
            UseTree::Name(part) => {
                if part.ident != "self" {
                    path.push(name(&part.ident));
                }
                (path.last().cloned().unwrap_or_default(), part.ident.span())
            }
            UseTree::Rename(part) => {
                if part.ident != "self" {
                    path.push(name(&part.ident));
                }
                (name(&part.rename), part.ident.span())
            }
        };
        self.imported.insert(alias, path.clone());
        self.refer(path, file, span);
    }

    fn refer(&mut self, segments: Vec<String>, file: &str, span: Span) {
        self.references.push(Reference { segments, file: file.to_owned(), line: span.start().line });
    }
}

/// Collects the paths that begin with `crate`, `self` or `super`, and every `use` inside a function.
struct Paths<'a> {
    module: &'a mut Module,
    file: &'a str,
}

impl Visit<'_> for Paths<'_> {
    fn visit_item(&mut self, item: &Item) {
        match item {
            item if only_in_tests(attributes(item)) => {}
            Item::Use(import) => {
                // These names exist only in the function, so only the paths are recorded.
                let mut inner = Module::default();
                inner.import(&import.tree, Vec::new(), self.file);
                self.module.references.append(&mut inner.references);
            }
            item => visit::visit_item(self, item),
        }
    }

    fn visit_impl_item(&mut self, item: &ImplItem) {
        let attributes = match item {
            ImplItem::Const(item) => &item.attrs,
            ImplItem::Fn(item) => &item.attrs,
            ImplItem::Type(item) => &item.attrs,
            _ => &Vec::new(),
        };
        if !only_in_tests(attributes) {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_path(&mut self, path: &syn::Path) {
        let segments: Vec<String> = path.segments.iter().map(|segment| name(&segment.ident)).collect();
        if segments.len() > 1 && is_local(&segments[0]) {
            self.module.refer(segments, self.file, path.segments[0].ident.span());
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, called: &syn::Macro) {
        self.visit_path(&called.path);
        self.scan(called.tokens.clone());
    }

    // `pub(super)` names no item, and a link in a comment is not an import.
    fn visit_visibility(&mut self, _: &Visibility) {}
    fn visit_attribute(&mut self, _: &Attribute) {}
}

impl Paths<'_> {
    /// Collects the paths in the tokens of a macro.
    fn scan(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let is_colon = |at: usize| matches!(tokens.get(at), Some(TokenTree::Punct(p)) if p.as_char() == ':');
        let word = |at: usize| match tokens.get(at) {
            Some(TokenTree::Ident(ident)) => Some(name(ident)),
            _ => None,
        };
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            let (start, span) = (at, token.span());
            at += 1;
            if let TokenTree::Group(group) = token {
                self.scan(group.stream());
            }
            let Some(first) = word(start).filter(|first| is_local(first)) else { continue };
            let mut segments = vec![first];
            while let (true, true, Some(next)) = (is_colon(at), is_colon(at + 1), word(at + 2)) {
                segments.push(next);
                at += 3;
            }
            if segments.len() > 1 {
                self.module.refer(segments, self.file, span);
            }
        }
    }
}

fn is_local(first: &str) -> bool {
    ["crate", "self", "super"].contains(&first)
}

fn name(ident: &proc_macro2::Ident) -> String {
    let name = ident.to_string();
    name.strip_prefix("r#").map(str::to_owned).unwrap_or(name)
}

/// Returns the file of a module: `a/b.rs` or `a/b/mod.rs`.
fn file_of(sources: &Sources, module: &ModulePath) -> String {
    let path = module.join("/");
    let candidates = [format!("{path}.rs"), format!("{path}/mod.rs")];
    let found = candidates.into_iter().find(|file| sources.contains_key(file));
    found.unwrap_or_else(|| panic!("no file for the module {}", module.join("::")))
}

/// Returns whether an item exists only in tests: under `#[cfg(test)]`, alone or together with other conditions.
fn only_in_tests(attributes: &[Attribute]) -> bool {
    fn requires_test(meta: &Meta) -> bool {
        match meta {
            Meta::Path(path) => path.is_ident("test"),
            Meta::List(list) if list.path.is_ident("all") => {
                let parts = list.parse_args_with(syn::punctuated::Punctuated::<Meta, syn::Token![,]>::parse_terminated);
                parts.is_ok_and(|parts| parts.iter().any(requires_test))
            }
            _ => false,
        }
    }
    let is_test = |attribute: &Attribute| {
        attribute.path().is_ident("cfg") && attribute.parse_args::<Meta>().is_ok_and(|meta| requires_test(&meta))
    };
    attributes.iter().any(is_test)
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::ExternCrate(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::ForeignMod(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::TraitAlias(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

fn declared_name(item: &Item) -> Option<String> {
    let ident = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Macro(item) => item.ident.as_ref()?,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::TraitAlias(item) => &item.ident,
        Item::Type(item) => &item.ident,
        Item::Union(item) => &item.ident,
        _ => return None,
    };
    Some(name(ident))
}
