//! What stands on pages: blocks, comments and files.

use serde_json::{Map, Value};

use super::Client;
use super::answer::{Answer, committed_without_id, decode_written, the_same};
use crate::notion::error::NotionError;
use crate::notion::request::{self, UploadMode};
use crate::notion::wire::{Block, Comment, FileUpload, List};
use crate::value::PageId;

impl Client {
    /// Lists the blocks directly on a page; a child database is one of them, with the database's id.
    ///
    /// # Errors
    ///
    /// 404 where the page is not shared.
    pub async fn list_blocks(&self, parent: &PageId) -> Result<Vec<Block>, NotionError> {
        self.collect(|cursor| request::list_blocks(parent, cursor)).await
    }

    /// Appends blocks to a page: at most 100.
    ///
    /// # Errors
    ///
    /// [`NotionError::UnknownOutcome`]: list the blocks before appending again.
    pub async fn append_blocks(
        &self,
        parent: &PageId,
        children: Vec<Value>,
    ) -> Result<Vec<String>, NotionError> {
        let request = request::append_blocks(parent, children);
        match self.send(&request).await? {
            Answer::Body(body) => {
                let list: List<Block> = decode_written(request.operation, &body)?;
                Ok(list.results.into_iter().map(|block| block.id).collect())
            }
            Answer::Committed(ids) => Ok(ids),
        }
    }

    /// Lists a page's open comments.
    ///
    /// # Errors
    ///
    /// 403 without the capability to read comments.
    pub async fn list_comments(&self, page: &PageId) -> Result<Vec<Comment>, NotionError> {
        self.collect(|cursor| request::list_comments(page, cursor)).await
    }

    /// Writes a comment on a page.
    ///
    /// # Errors
    ///
    /// [`NotionError::UnknownOutcome`]: list the comments before writing again.
    pub async fn create_comment(&self, page: &PageId, text: &str) -> Result<Comment, NotionError> {
        let request = request::create_comment(page, text);
        match self.send(&request).await? {
            Answer::Body(body) => decode_written(request.operation, &body),
            Answer::Committed(ids) => match ids.into_iter().next() {
                Some(id) => Ok(Comment {
                    id,
                    rich_text: Vec::new(),
                    rest: Map::new(),
                }),
                None => Err(committed_without_id(request.operation)),
            },
        }
    }

    /// Uploads a file: at once up to 20 MB, in parts of 10 MB beyond.
    ///
    /// The answer's id goes into a files property within an hour.
    ///
    /// # Errors
    ///
    /// Nothing is attached by a failed upload; it expires by itself.
    pub async fn upload_file(
        &self,
        filename: &str,
        content_type: &str,
        bytes: &[u8],
    ) -> Result<FileUpload, NotionError> {
        const SINGLE: usize = 20_000_000;
        const PART: usize = 10_000_000;
        if bytes.len() <= SINGLE {
            let upload = self
                .start_upload(&UploadMode::SinglePart, filename, content_type)
                .await?;
            return self
                .send_part(&upload, filename, content_type, None, bytes.to_vec())
                .await;
        }
        let parts: Vec<&[u8]> = bytes.chunks(PART).collect();
        let count = u32::try_from(parts.len()).unwrap_or(u32::MAX);
        let upload = self
            .start_upload(&UploadMode::Parts(count), filename, content_type)
            .await?;
        for (number, part) in (1..).zip(parts) {
            self.send_part(&upload, filename, content_type, Some(number), part.to_vec())
                .await?;
        }
        self.finish_write(&request::complete_file_upload(&upload.id))
            .await
    }

    /// Has Notion fetch a file from an address; poll [`Client::retrieve_file_upload`] until it is there.
    ///
    /// # Errors
    ///
    /// As every call.
    pub async fn import_file(
        &self,
        url: &str,
        filename: &str,
        content_type: &str,
    ) -> Result<FileUpload, NotionError> {
        self.start_upload(&UploadMode::External(url.to_owned()), filename, content_type)
            .await
    }

    /// Reads how an upload stands.
    ///
    /// # Errors
    ///
    /// As every call.
    pub async fn retrieve_file_upload(&self, id: &str) -> Result<FileUpload, NotionError> {
        let request = request::retrieve_file_upload(id);
        the_same(request.operation, id, self.read(&request).await?)
    }

    async fn start_upload(
        &self,
        mode: &UploadMode,
        filename: &str,
        content_type: &str,
    ) -> Result<FileUpload, NotionError> {
        self.create(
            &request::create_file_upload(mode, filename, content_type),
            |client, id| Box::pin(async move { client.retrieve_file_upload(&id).await }),
        )
        .await
    }

    async fn send_part(
        &self,
        upload: &FileUpload,
        filename: &str,
        content_type: &str,
        part: Option<u32>,
        bytes: Vec<u8>,
    ) -> Result<FileUpload, NotionError> {
        self.finish_write(&request::send_file_upload(
            &upload.id,
            filename,
            content_type,
            part,
            bytes,
        ))
        .await
    }
}
