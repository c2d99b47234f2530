//! File uploads, and the files that signed URLs lead to (fact sheet, 3.11).

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::batch::{Batch, list_json};
use super::body::{Body, parse_uuid};
use super::endpoint::{Answer, Content, Payload};
use super::refusal::{Answered, Refusal};
use super::schema::PropertyId;
use super::state::Upload;
use super::value::{FilePlace, Value};
use super::{Caller, Moment, Request, Workspace};

const SINGLE_PART_BYTES: usize = 20 * 1024 * 1024;
const SMALLEST_PART_BYTES: usize = 5 * 1024 * 1024;
const MAX_FILENAME_BYTES: usize = 900;
const UPLOAD_LIFETIME: Duration = Duration::from_secs(3600);

impl Workspace {
    pub(super) fn create_upload(&mut self, caller: Caller, body: &Body<'_>) -> Answered<Json> {
        body.only(&[
            "mode",
            "filename",
            "content_type",
            "number_of_parts",
            "external_url",
        ])?;
        let mode = body
            .given("mode")
            .map(|mode| mode.word(&["single_part", "multi_part", "external_url"]))
            .transpose()?;
        let mode = mode.unwrap_or("single_part");
        let filename = body
            .given("filename")
            .map(|name| name.filled_text(MAX_FILENAME_BYTES))
            .transpose()?;
        if let Some(name) = filename.filter(|name| name.len() > MAX_FILENAME_BYTES) {
            return Err(Refusal::validation(format!(
                "body failed validation: body.filename should be ≤ `{MAX_FILENAME_BYTES}` bytes, instead was `{}`.",
                name.len()
            )));
        }
        let content_type = body
            .given("content_type")
            .map(|kind| kind.filled_text(200))
            .transpose()?;
        let parts = match mode {
            "multi_part" => {
                body.need("filename")?;
                let count = body.need("number_of_parts")?;
                let parts = count.value.as_u64().filter(|parts| (1..=10_000).contains(parts));
                Some(parts.ok_or_else(|| count.refuse("a number from `1` to `10000`"))? as u32)
            }
            _ => None,
        };
        self.make_room_for_upload()?;
        let id = self.seed.uuid();
        self.last_sequence += 1;
        let mut upload = Upload {
            id,
            sequence: self.last_sequence,
            stamps: self.stamps(caller.bot),
            filename: filename.map(str::to_owned),
            content_type: content_type.map(str::to_owned),
            status: "pending",
            expires: Some(self.now.after(UPLOAD_LIFETIME)),
            parts,
            received: BTreeMap::new(),
            import: None,
        };
        if mode == "external_url" {
            let url = body.need("external_url")?;
            if !url.filled_text(super::body::MAX_TEXT)?.starts_with("https://") {
                return Err(url.refuse("an HTTPS URL"));
            }
            // Nothing is fetched: the import is done at once, with an empty file.
            upload.status = "uploaded";
            upload.received.insert(1, Vec::new());
            upload.import = Some(json!({"imported_time": self.now.iso(), "type": "success", "success": {}}));
        }
        self.uploads.insert(id, upload);
        self.emit("file_upload.created", ("file_upload", id), caller.bot, json!({}));
        self.get_upload(caller, id)
    }

    /// Forgets the oldest uploads that are not attached, where there are too many.
    ///
    /// The real Notion has no such limit; the simulator's memory has.
    fn make_room_for_upload(&mut self) -> Answered<()> {
        while self.uploads.len() >= self.limits.uploads {
            let loose = self.uploads.values().filter(|upload| upload.expires.is_some());
            let Some(oldest) = loose.min_by_key(|upload| upload.sequence).map(|upload| upload.id) else {
                let limit = self.limits.uploads;
                return Err(Refusal::validation(format!(
                    "The simulator keeps {limit} file uploads, and all of them are attached."
                )));
            };
            self.uploads.remove(&oldest);
        }
        Ok(())
    }

    fn upload(&self, caller: Caller, id: Uuid) -> Answered<&Upload> {
        let found = self
            .uploads
            .get(&id)
            .filter(|upload| upload.stamps.creator == caller.bot);
        found.ok_or_else(|| self.missing(caller, "file_upload", id))
    }

    fn is_expired(&self, upload: &Upload) -> bool {
        upload.expires.is_some_and(|expires| expires <= self.now)
    }

    fn upload_json(&self, upload: &Upload) -> Json {
        let expired = self.is_expired(upload);
        let status = if expired { "expired" } else { upload.status };
        let length: usize = upload.received.values().map(Vec::len).sum();
        let mut object = json!({
            "object": "file_upload", "id": upload.id, "created_time": upload.stamps.created.iso(),
            "created_by": {"id": upload.stamps.creator, "type": "bot"}, "last_edited_time": upload.stamps.edited.iso(),
            "in_trash": false, "expiry_time": upload.expires.map(Moment::iso), "status": status,
            "filename": upload.filename, "content_type": upload.content_type,
            "content_length": (status == "uploaded").then_some(length),
        });
        if status == "pending" {
            object["upload_url"] = json!(format!("{}/v1/file_uploads/{}/send", self.file_host, upload.id));
            if upload.parts.is_some() {
                object["complete_url"] = json!(format!(
                    "{}/v1/file_uploads/{}/complete",
                    self.file_host, upload.id
                ));
            }
        }
        if let Some(total) = upload.parts {
            object["number_of_parts"] = json!({"total": total, "sent": upload.received.len()});
        }
        if let Some(import) = &upload.import {
            object["file_import_result"] = import.clone();
        }
        object
    }

    pub(super) fn get_upload(&self, caller: Caller, id: Uuid) -> Answered<Json> {
        Ok(self.upload_json(self.upload(caller, id)?))
    }

    pub(super) fn list_uploads(&self, caller: Caller, request: &Request) -> Answered<Json> {
        let own = self
            .uploads
            .values()
            .filter(|upload| upload.stamps.creator == caller.bot);
        let status = request.query_value("status");
        // Most recent first (reference/list-file-uploads).
        let mut own: Vec<&Upload> = own.collect();
        own.sort_unstable_by_key(|upload| std::cmp::Reverse(upload.sequence));
        let uploads: Vec<Json> = own
            .into_iter()
            .map(|upload| self.upload_json(upload))
            .filter(|upload| status.is_none_or(|status| upload["status"] == status))
            .collect();
        Ok(list_json(
            "file_upload",
            Batch::of_query(request)?.cut(&uploads, &format!("uploads {} {status:?}", caller.bot))?,
        ))
    }

    pub(super) fn send_upload(&mut self, caller: Caller, id: Uuid, request: &Request) -> Answered<Json> {
        let upload = self.upload(caller, id)?;
        let Payload::Part(part) = &request.payload else {
            return Err(Refusal::validation(
                "body failed validation: body.file should be defined, instead was `undefined`.",
            ));
        };
        if upload.status != "pending" || self.is_expired(upload) {
            return Err(Refusal::validation(format!("File upload {id} is not pending.")));
        }
        let declared = upload.content_type.as_deref();
        if let (Some(declared), Some(sent)) = (declared, part.content_type.as_deref())
            && declared != sent
        {
            return Err(Refusal::validation(format!(
                "Content type of the part, {sent}, does not match the declared content type {declared}."
            )));
        }
        if part.bytes.len() > SINGLE_PART_BYTES {
            return Err(Refusal::validation(format!(
                "File parts may have at most {SINGLE_PART_BYTES} bytes."
            )));
        }
        let number = match (upload.parts, part.number) {
            (None, _) => 1,
            (Some(total), Some(number)) if (1..=total).contains(&number) => {
                if number < total && part.bytes.len() < SMALLEST_PART_BYTES {
                    return Err(Refusal::validation(format!(
                        "Parts but the last need at least {SMALLEST_PART_BYTES} bytes."
                    )));
                }
                number
            }
            _ => {
                return Err(Refusal::validation(
                    "body failed validation: body.part_number should be defined, instead was `undefined`.",
                ));
            }
        };
        let kept = self.uploads.values().flat_map(|upload| upload.received.values());
        let kept: usize = kept.map(Vec::len).sum();
        if kept + part.bytes.len() > self.limits.upload_bytes {
            let limit = self.limits.upload_bytes;
            return Err(Refusal::validation(format!(
                "The simulator keeps {limit} bytes of files at the most."
            )));
        }
        let now = self.now.floored();
        if let Some(upload) = self.uploads.get_mut(&id) {
            upload.received.insert(number, part.bytes.clone());
            upload.stamps.edited = now;
            upload.content_type = upload.content_type.take().or(part.content_type.clone());
            upload.filename = upload.filename.take().or(part.filename.clone());
            if upload.parts.is_none() {
                upload.status = "uploaded";
            }
        }
        self.get_upload(caller, id)
    }

    pub(super) fn complete_upload(&mut self, caller: Caller, id: Uuid) -> Answered<Json> {
        let upload = self.upload(caller, id)?;
        if upload
            .parts
            .is_none_or(|total| upload.received.len() < total as usize)
            || upload.status != "pending"
        {
            return Err(Refusal::validation(format!(
                "File upload {id} has not all of its parts yet."
            )));
        }
        if let Some(upload) = self.uploads.get_mut(&id) {
            upload.status = "uploaded";
        }
        self.emit(
            "file_upload.completed",
            ("file_upload", id),
            caller.bot,
            json!({}),
        );
        self.get_upload(caller, id)
    }

    /// The file name of an upload that can be attached: sent, and attached before or not expired.
    pub(super) fn attachable(&self, id: Uuid) -> Answered<Option<String>> {
        let upload = self
            .uploads
            .get(&id)
            .filter(|upload| upload.status == "uploaded" && !self.is_expired(upload));
        let upload = upload.ok_or_else(|| {
            Refusal::validation(format!("File upload {id} is not uploaded or has expired."))
        })?;
        Ok(upload.filename.clone())
    }

    /// Attached files are permanent, and their upload can be attached again.
    pub(super) fn keep_files(&mut self, values: &BTreeMap<PropertyId, Option<Value>>) {
        for value in values.values() {
            let Some(Value::Files(files)) = value else {
                continue;
            };
            for file in files {
                if let FilePlace::Hosted(id) = file.place
                    && let Some(upload) = self.uploads.get_mut(&id)
                {
                    upload.expires = None;
                }
            }
        }
    }

    /// The file that a signed URL of ours names.
    pub(super) fn hosted_at(&self, url: &str) -> Option<Uuid> {
        let rest = url
            .strip_prefix(&self.file_host)?
            .strip_prefix("/_simulator/files/")?;
        let id = parse_uuid(rest.split('?').next()?)?;
        self.uploads.contains_key(&id).then_some(id)
    }

    /// Serves a signed URL; 403 once an hour has gone by or where the signature is not ours.
    pub fn file(&self, id: Uuid, query: &[(String, String)]) -> Answer {
        let value = |key: &str| {
            query
                .iter()
                .find(|(name, _)| name == key)
                .map_or("", |(_, value)| value.as_str())
        };
        let expires = Moment(value("expires").parse().unwrap_or_default());
        let signed = value("signature") == self.file_signature(id, expires, value("nonce"));
        let (status, content) = match self.uploads.get(&id) {
            Some(upload) if signed && expires > self.now => {
                let bytes = upload.received.values().flatten().copied().collect();
                let content_type = upload
                    .content_type
                    .clone()
                    .unwrap_or_else(|| "application/octet-stream".to_owned());
                (200, Content::File { content_type, bytes })
            }
            _ => (
                403,
                Content::Html("<html><body>Request has expired</body></html>".to_owned()),
            ),
        };
        Answer {
            status,
            headers: Vec::new(),
            content,
        }
    }
}
