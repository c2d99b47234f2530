//! What can be asked of Notion: one name per endpoint that we use.

use std::fmt;

/// What repeating a request would do, which decides how it may be retried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Changes nothing: may be repeated at will.
    Read,
    /// Changes something that has an id: an unclear outcome is settled by reading that thing.
    Write,
    /// Makes something new: repeating it makes a second one.
    Create,
}

macro_rules! operations {
    ($($(#[$doc:meta])* $name:ident: $method:literal $path:literal, $class:ident, $words:literal;)*) => {
        /// One endpoint of Notion's API, named after what is being done.
        ///
        /// Source: Notion API 2026-03-11, the endpoint list of SDK 5.26.0.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Operation {
            $($(#[$doc])* $name,)*
        }

        impl Operation {
            /// Every operation.
            pub const ALL: &[Operation] = &[$(Self::$name,)*];

            /// The method and path with `{id}` in the place of ids: what requests are counted by.
            pub fn endpoint(self) -> &'static str {
                match self { $(Self::$name => concat!($method, " ", $path),)* }
            }

            /// The HTTP method.
            pub fn method(self) -> &'static str {
                match self { $(Self::$name => $method,)* }
            }

            /// What repeating it would do.
            pub fn class(self) -> Class {
                match self { $(Self::$name => Class::$class,)* }
            }

            fn words(self) -> &'static str {
                match self { $(Self::$name => $words,)* }
            }
        }
    };
}

operations! {
    /// Who the token belongs to.
    Me: "GET" "/v1/users/me", Read, "ask who the token belongs to";
    /// The people and bots of the workspace.
    ListUsers: "GET" "/v1/users", Read, "list users";
    /// One page, also from the trash.
    RetrievePage: "GET" "/v1/pages/{id}", Read, "read a page";
    /// A new page.
    CreatePage: "POST" "/v1/pages", Create, "create a page";
    /// Properties, icon or trash state of a page.
    UpdatePage: "PATCH" "/v1/pages/{id}", Write, "change a page";
    /// A page's parent.
    MovePage: "POST" "/v1/pages/{id}/move", Write, "move a page";
    /// One property of a page, complete.
    RetrieveProperty: "GET" "/v1/pages/{id}/properties/{id}", Read, "read a property of a page";
    /// The pages of a data source.
    QueryDataSource: "POST" "/v1/data_sources/{id}/query", Read, "query a data source";
    /// The schema of a data source.
    RetrieveDataSource: "GET" "/v1/data_sources/{id}", Read, "read a data source";
    /// A further data source in a database.
    CreateDataSource: "POST" "/v1/data_sources", Create, "create a data source";
    /// The schema of a data source.
    UpdateDataSource: "PATCH" "/v1/data_sources/{id}", Write, "change a data source";
    /// The container of data sources.
    RetrieveDatabase: "GET" "/v1/databases/{id}", Read, "read a database";
    /// A new database with its first data source.
    CreateDatabase: "POST" "/v1/databases", Create, "create a database";
    /// Title, icon or trash state of a database.
    UpdateDatabase: "PATCH" "/v1/databases/{id}", Write, "change a database";
    /// Titles.
    Search: "POST" "/v1/search", Read, "search";
    /// What stands on a page.
    ListBlocks: "GET" "/v1/blocks/{id}/children", Read, "list the blocks of a page";
    /// New blocks on a page.
    AppendBlocks: "PATCH" "/v1/blocks/{id}/children", Create, "append blocks to a page";
    /// The views of a database: ids only.
    ListViews: "GET" "/v1/views", Read, "list views";
    /// One view.
    RetrieveView: "GET" "/v1/views/{id}", Read, "read a view";
    /// A new view.
    CreateView: "POST" "/v1/views", Create, "create a view";
    /// Name, filter or configuration of a view.
    UpdateView: "PATCH" "/v1/views/{id}", Write, "change a view";
    /// The open comments of a page.
    ListComments: "GET" "/v1/comments", Read, "list comments";
    /// A new comment.
    CreateComment: "POST" "/v1/comments", Create, "write a comment";
    /// A place to send a file to.
    CreateFileUpload: "POST" "/v1/file_uploads", Create, "start a file upload";
    /// The bytes of a file, or of one part.
    SendFileUpload: "POST" "/v1/file_uploads/{id}/send", Write, "send a file";
    /// The end of an upload in parts.
    CompleteFileUpload: "POST" "/v1/file_uploads/{id}/complete", Write, "complete a file upload";
    /// How an upload stands.
    RetrieveFileUpload: "GET" "/v1/file_uploads/{id}", Read, "read a file upload";
}

/// Ends a sentence that starts with "could not".
impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())
    }
}
