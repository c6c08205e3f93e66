import { sealRegistry } from './seal-registry.ts'
import type { DatabaseSync } from 'node:sqlite'
import type { RowCipher } from './row-cipher.ts'

/**
 * The registry's schema, forward only: a released entry is never edited, a change is one more entry.
 *
 * A row holds what is searched or compared as columns and the whole noun as JSON in `doc`; certificates are BLOBs, so
 * that they come back byte for byte. Ids compare in byte order, SQLite's default collation. Columns in `TABLES[…].sealed`
 * are sealed on the disk; docs/decisions/0014-sealed-at-rest.md says why the others are not.
 */
export const REGISTRY_MIGRATIONS: readonly (string | ((database: DatabaseSync, rows: RowCipher) => void))[] = [
  `
  CREATE TABLE devices (
    hub TEXT NOT NULL,
    device_id TEXT NOT NULL,
    etag TEXT NOT NULL,
    status TEXT NOT NULL,
    last_activity_time INTEGER,
    connection_state_updated_time INTEGER,
    doc TEXT NOT NULL,
    PRIMARY KEY (hub, device_id)
  ) STRICT;

  -- Counting a million rows would hold up the thread that serves connections.
  CREATE TABLE device_counts (
    hub TEXT NOT NULL,
    status TEXT NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (hub, status)
  ) STRICT, WITHOUT ROWID;
  CREATE TRIGGER device_counts_insert AFTER INSERT ON devices BEGIN
    INSERT INTO device_counts VALUES (NEW.hub, NEW.status, 1) ON CONFLICT DO UPDATE SET count = count + 1;
  END;
  CREATE TRIGGER device_counts_delete AFTER DELETE ON devices BEGIN
    UPDATE device_counts SET count = count - 1 WHERE hub = OLD.hub AND status = OLD.status;
  END;
  CREATE TRIGGER device_counts_update AFTER UPDATE OF status ON devices WHEN OLD.status <> NEW.status BEGIN
    UPDATE device_counts SET count = count - 1 WHERE hub = OLD.hub AND status = OLD.status;
    INSERT INTO device_counts VALUES (NEW.hub, NEW.status, 1) ON CONFLICT DO UPDATE SET count = count + 1;
  END;

  CREATE TABLE revisions (name TEXT NOT NULL PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
  INSERT INTO revisions VALUES ('authorities', 0), ('enrollment_groups', 0);

  CREATE TABLE authorities (
    hub TEXT NOT NULL,
    name TEXT NOT NULL,
    etag TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    state TEXT NOT NULL,
    certificate BLOB NOT NULL,
    doc TEXT NOT NULL,
    PRIMARY KEY (hub, name)
  ) STRICT;
  CREATE INDEX authorities_by_certificate ON authorities (sha256);
  CREATE TRIGGER authorities_insert AFTER INSERT ON authorities BEGIN
    UPDATE revisions SET value = value + 1 WHERE name = 'authorities';
  END;
  CREATE TRIGGER authorities_update AFTER UPDATE ON authorities BEGIN
    UPDATE revisions SET value = value + 1 WHERE name = 'authorities';
  END;
  CREATE TRIGGER authorities_delete AFTER DELETE ON authorities BEGIN
    UPDATE revisions SET value = value + 1 WHERE name = 'authorities';
  END;

  CREATE TABLE individual_enrollments (
    registration_id TEXT NOT NULL PRIMARY KEY,
    etag TEXT NOT NULL,
    primary_certificate BLOB,
    secondary_certificate BLOB,
    doc TEXT NOT NULL
  ) STRICT;

  CREATE TABLE enrollment_groups (
    enrollment_group_id TEXT NOT NULL PRIMARY KEY,
    etag TEXT NOT NULL,
    primary_certificate BLOB,
    secondary_certificate BLOB,
    doc TEXT NOT NULL
  ) STRICT;
  CREATE TRIGGER enrollment_groups_insert AFTER INSERT ON enrollment_groups BEGIN
    UPDATE revisions SET value = value + 1 WHERE name = 'enrollment_groups';
  END;
  CREATE TRIGGER enrollment_groups_update AFTER UPDATE ON enrollment_groups BEGIN
    UPDATE revisions SET value = value + 1 WHERE name = 'enrollment_groups';
  END;
  CREATE TRIGGER enrollment_groups_delete AFTER DELETE ON enrollment_groups BEGIN
    UPDATE revisions SET value = value + 1 WHERE name = 'enrollment_groups';
  END;

  CREATE TABLE registrations (
    registration_id TEXT NOT NULL PRIMARY KEY,
    etag TEXT NOT NULL,
    enrollment_group_id TEXT,
    leaf BLOB,
    signer BLOB,
    doc TEXT NOT NULL
  ) STRICT;
  CREATE INDEX registrations_by_group ON registrations (enrollment_group_id, registration_id)
    WHERE enrollment_group_id IS NOT NULL;

  CREATE TABLE policies (
    owner TEXT NOT NULL,
    name TEXT NOT NULL,
    doc TEXT NOT NULL,
    PRIMARY KEY (owner, name)
  ) STRICT;

  CREATE TABLE refusals (
    sequence INTEGER PRIMARY KEY,
    tracking_id TEXT NOT NULL UNIQUE,
    time INTEGER NOT NULL,
    hub TEXT,
    identity TEXT NOT NULL,
    address TEXT NOT NULL,
    rule TEXT NOT NULL,
    doc TEXT NOT NULL
  ) STRICT;
  CREATE INDEX refusals_by_identity ON refusals (identity);
  CREATE INDEX refusals_by_address ON refusals (address);
  CREATE INDEX refusals_by_rule ON refusals (rule, time);

  CREATE TABLE consumer_groups (hub TEXT NOT NULL, name TEXT NOT NULL, PRIMARY KEY (hub, name)) STRICT, WITHOUT ROWID;

  CREATE TABLE settings (key TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
  `,
  `
  CREATE TABLE certificates_seen (
    hub TEXT NOT NULL,
    device_id TEXT NOT NULL,
    certificate BLOB NOT NULL,
    last_seen INTEGER NOT NULL,
    PRIMARY KEY (hub, device_id, certificate)
  ) STRICT, WITHOUT ROWID;
  CREATE TRIGGER certificates_seen_forget AFTER DELETE ON devices BEGIN
    DELETE FROM certificates_seen WHERE hub = OLD.hub AND device_id = OLD.device_id;
  END;

  CREATE TABLE revocation_records (
    hub TEXT NOT NULL,
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    etag TEXT NOT NULL,
    sequence INTEGER NOT NULL DEFAULT 0,
    certificate BLOB,
    doc TEXT NOT NULL,
    PRIMARY KEY (hub, kind, id)
  ) STRICT;
  CREATE INDEX revocation_records_by_sequence ON revocation_records (sequence);
  INSERT INTO revisions VALUES ('revocations', 0);
  CREATE TRIGGER revocation_records_insert AFTER INSERT ON revocation_records BEGIN
    UPDATE revisions SET value = value + 1 WHERE name = 'revocations';
    UPDATE revocation_records SET sequence = (SELECT value FROM revisions WHERE name = 'revocations')
      WHERE hub = NEW.hub AND kind = NEW.kind AND id = NEW.id;
  END;
  CREATE TRIGGER revocation_records_update AFTER UPDATE OF doc ON revocation_records BEGIN
    UPDATE revisions SET value = value + 1 WHERE name = 'revocations';
    UPDATE revocation_records SET sequence = (SELECT value FROM revisions WHERE name = 'revocations')
      WHERE hub = NEW.hub AND kind = NEW.kind AND id = NEW.id;
  END;
  `,
  `
  -- By which certificates each device was seen last; a device that is deleted is forgotten.
  CREATE TABLE sightings (
    hub TEXT NOT NULL,
    device_id TEXT NOT NULL,
    path TEXT NOT NULL,
    leaf TEXT NOT NULL,
    leaf_subject TEXT NOT NULL,
    leaf_not_after INTEGER NOT NULL,
    seen INTEGER NOT NULL,
    source TEXT NOT NULL,
    PRIMARY KEY (hub, device_id)
  ) STRICT;
  CREATE INDEX sightings_by_path ON sightings (hub, path, device_id);
  CREATE INDEX sightings_by_end ON sightings (hub, leaf_not_after);
  CREATE TRIGGER sightings_forget AFTER DELETE ON devices BEGIN
    DELETE FROM sightings WHERE hub = OLD.hub AND device_id = OLD.device_id;
  END;

  -- Counted as they come, so that asking does not cost more with a million devices. A path stays when its last device
  -- has gone, to tell when that was.
  CREATE TABLE sighted_paths (
    hub TEXT NOT NULL,
    path TEXT NOT NULL,
    devices INTEGER NOT NULL,
    last_seen INTEGER NOT NULL,
    PRIMARY KEY (hub, path)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX sighted_paths_left ON sighted_paths (last_seen) WHERE devices = 0;
  CREATE TRIGGER sightings_insert AFTER INSERT ON sightings BEGIN
    INSERT INTO sighted_paths VALUES (NEW.hub, NEW.path, 1, NEW.seen)
      ON CONFLICT DO UPDATE SET devices = devices + 1, last_seen = max(last_seen, NEW.seen);
  END;
  CREATE TRIGGER sightings_stay AFTER UPDATE ON sightings WHEN OLD.path = NEW.path BEGIN
    UPDATE sighted_paths SET last_seen = max(last_seen, NEW.seen) WHERE hub = NEW.hub AND path = NEW.path;
  END;
  CREATE TRIGGER sightings_move AFTER UPDATE ON sightings WHEN OLD.path <> NEW.path BEGIN
    UPDATE sighted_paths SET devices = devices - 1 WHERE hub = OLD.hub AND path = OLD.path;
    INSERT INTO sighted_paths VALUES (NEW.hub, NEW.path, 1, NEW.seen)
      ON CONFLICT DO UPDATE SET devices = devices + 1, last_seen = max(last_seen, NEW.seen);
  END;
  CREATE TRIGGER sightings_delete AFTER DELETE ON sightings BEGIN
    UPDATE sighted_paths SET devices = devices - 1 WHERE hub = OLD.hub AND path = OLD.path;
  END;
  `,
  `
  -- Newest 10,000.
  CREATE TABLE alarms (
    sequence INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    hub TEXT NOT NULL,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    doc TEXT NOT NULL
  ) STRICT;
  CREATE TRIGGER alarms_forget AFTER INSERT ON alarms BEGIN
    DELETE FROM alarms WHERE sequence <= NEW.sequence - 10000;
  END;

  -- Which certificates and keys each device was seen with; a device that is deleted is forgotten.
  CREATE TABLE credential_uses (
    hub TEXT NOT NULL,
    device_id TEXT NOT NULL,
    certificate TEXT NOT NULL,
    serial TEXT NOT NULL,
    key TEXT NOT NULL,
    seen INTEGER NOT NULL,
    doc TEXT NOT NULL,
    PRIMARY KEY (hub, device_id, certificate)
  ) STRICT;
  CREATE INDEX credential_uses_by_certificate ON credential_uses (certificate);
  CREATE INDEX credential_uses_by_serial ON credential_uses (serial);
  CREATE INDEX credential_uses_by_key ON credential_uses (key);
  CREATE TRIGGER credential_uses_of_devices BEFORE INSERT ON credential_uses
    WHEN NOT EXISTS (SELECT 1 FROM devices WHERE hub = NEW.hub AND device_id = NEW.device_id) BEGIN
    SELECT RAISE(IGNORE);
  END;
  CREATE TRIGGER credential_uses_newest AFTER INSERT ON credential_uses BEGIN
    DELETE FROM credential_uses WHERE hub = NEW.hub AND device_id = NEW.device_id AND certificate IN (
      SELECT certificate FROM credential_uses WHERE hub = NEW.hub AND device_id = NEW.device_id
      ORDER BY seen DESC LIMIT -1 OFFSET 8);
  END;
  CREATE TRIGGER credential_uses_forget AFTER DELETE ON devices BEGIN
    DELETE FROM credential_uses WHERE hub = OLD.hub AND device_id = OLD.device_id;
  END;

  CREATE TABLE webhooks (hub TEXT NOT NULL, id TEXT NOT NULL, doc TEXT NOT NULL, PRIMARY KEY (hub, id)) STRICT;
  `,
  sealRegistry,
  `
  -- How far devices that seal their messages have counted; forgotten with the device.
  CREATE TABLE message_counters (
    hub TEXT NOT NULL,
    device_id TEXT NOT NULL,
    generation_id TEXT NOT NULL,
    last INTEGER NOT NULL,
    recent TEXT NOT NULL,
    PRIMARY KEY (hub, device_id)
  ) STRICT, WITHOUT ROWID;
  CREATE TRIGGER message_counters_forget AFTER DELETE ON devices BEGIN
    DELETE FROM message_counters WHERE hub = OLD.hub AND device_id = OLD.device_id;
  END;
  `,
  `
  -- Dangerous acts that wait for a second person; who writes them bounds their number.
  CREATE TABLE approvals (sequence INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, doc BLOB NOT NULL) STRICT;
  `,
]

/** From this schema on nothing secret is in the clear. */
export const SEALED_SCHEMA = 5

/** What the writer must know of a table; `columns` holds the key too. */
export interface TableShape {
  readonly key: readonly string[]
  readonly columns: readonly string[]
  /** Columns that `touch` moves forward and that a replacement made from an older read must not move back. */
  readonly monotone: readonly string[]
  /** Columns that are sealed on the disk, and what they are when opened. */
  readonly sealed: Readonly<Record<string, 'text' | 'bytes'>>
}

export const TABLES = {
  devices: {
    key: ['hub', 'device_id'],
    columns: ['hub', 'device_id', 'etag', 'status', 'last_activity_time', 'connection_state_updated_time', 'doc'],
    monotone: ['last_activity_time', 'connection_state_updated_time'],
    sealed: { doc: 'text' },
  },
  authorities: {
    key: ['hub', 'name'],
    columns: ['hub', 'name', 'etag', 'sha256', 'state', 'certificate', 'doc'],
    monotone: [],
    sealed: { certificate: 'bytes', doc: 'text' },
  },
  individual_enrollments: {
    key: ['registration_id'],
    columns: ['registration_id', 'etag', 'primary_certificate', 'secondary_certificate', 'doc'],
    monotone: [],
    sealed: { primary_certificate: 'bytes', secondary_certificate: 'bytes', doc: 'text' },
  },
  enrollment_groups: {
    key: ['enrollment_group_id'],
    columns: ['enrollment_group_id', 'etag', 'primary_certificate', 'secondary_certificate', 'doc'],
    monotone: [],
    sealed: { primary_certificate: 'bytes', secondary_certificate: 'bytes', doc: 'text' },
  },
  registrations: {
    key: ['registration_id'],
    columns: ['registration_id', 'etag', 'enrollment_group_id', 'leaf', 'signer', 'doc'],
    monotone: [],
    sealed: { leaf: 'bytes', signer: 'bytes', doc: 'text' },
  },
  policies: { key: ['owner', 'name'], columns: ['owner', 'name', 'doc'], monotone: [], sealed: { doc: 'text' } },
  refusals: {
    key: ['tracking_id'],
    columns: ['tracking_id', 'time', 'hub', 'identity', 'address', 'rule', 'doc'],
    monotone: [],
    sealed: { doc: 'text' },
  },
  consumer_groups: { key: ['hub', 'name'], columns: ['hub', 'name'], monotone: [], sealed: {} },
  revocation_records: {
    key: ['hub', 'kind', 'id'],
    columns: ['hub', 'kind', 'id', 'etag', 'certificate', 'doc'],
    monotone: [],
    sealed: { certificate: 'bytes', doc: 'text' },
  },
  alarms: { key: ['id'], columns: ['id', 'hub', 'kind', 'subject', 'doc'], monotone: [], sealed: { doc: 'text' } },
  credential_uses: {
    key: ['hub', 'device_id', 'certificate'],
    columns: ['hub', 'device_id', 'certificate', 'serial', 'key', 'seen', 'doc'],
    monotone: [],
    sealed: { doc: 'text' },
  },
  webhooks: { key: ['hub', 'id'], columns: ['hub', 'id', 'doc'], monotone: [], sealed: { doc: 'text' } },
  message_counters: {
    key: ['hub', 'device_id'],
    columns: ['hub', 'device_id', 'generation_id', 'last', 'recent'],
    monotone: [],
    sealed: {},
  },
  approvals: { key: ['id'], columns: ['id', 'doc'], monotone: [], sealed: { doc: 'text' } },
  settings: { key: ['key'], columns: ['key', 'value'], monotone: [], sealed: { value: 'text' } },
} as const satisfies Record<string, TableShape>

export type TableName = keyof typeof TABLES
