-- SPDX-License-Identifier: Apache-2.0
-- What has a content that a terminal holds is looked for at every choice of a delta.
CREATE INDEX document_sha256 ON document (sha256);
