CREATE TABLE history_schema (version INTEGER NOT NULL);
CREATE TABLE history (
seq INTEGER PRIMARY KEY AUTOINCREMENT,
id TEXT NOT NULL UNIQUE,
kind TEXT NOT NULL,
received BIGINT NOT NULL,
at BIGINT NOT NULL,
time BIGINT NOT NULL,
last_at BIGINT NOT NULL,
last_time BIGINT NOT NULL,
last_received BIGINT NOT NULL,
client TEXT NOT NULL,
every BIGINT NOT NULL,
service TEXT NOT NULL,
environment TEXT NOT NULL,
instance TEXT NOT NULL,
version TEXT NOT NULL,
revision TEXT NOT NULL,
build TEXT NOT NULL,
event TEXT NOT NULL
, first_place BIGINT NOT NULL DEFAULT 0, last_place BIGINT NOT NULL DEFAULT 0);
CREATE TABLE history_builds (digest TEXT NOT NULL PRIMARY KEY, info TEXT NOT NULL);
CREATE INDEX history_last ON history (last_at);
CREATE INDEX history_build ON history (build);
CREATE INDEX history_place ON history (last_place);
INSERT INTO history (seq, id, kind, received, at, time, last_at, last_time, last_received, client, every, service, environment, instance, version, revision, build, event, first_place, last_place) VALUES (1, 'run-a', 'stopped', 1795894436108785119, 1793534400000000000, 1793534400000000000, 1793534760000000000, 1793534760000000000, 1795894436149976240, '', 120000000000, 'shop', 'production', 'shop-0', 'v1.0.0', 'abcdef123456', '531c9225d67fa975dca069e25210f0da', '', 1795894436108785119, 1795894436149976240);
INSERT INTO history (seq, id, kind, received, at, time, last_at, last_time, last_received, client, every, service, environment, instance, version, revision, build, event, first_place, last_place) VALUES (3, 'ci/run-b', 'started', 1795894436123983038, 1793534580000135202, 1793538180000000000, 1793534580000135202, 1793538180000000000, 1795894436123983038, 'ci', 120000000000, 'shop', 'production', 'shop-1', 'v1.0.0', 'abcdef123456', '531c9225d67fa975dca069e25210f0da', '', 1795894436123983038, 1795894436123983038);
INSERT INTO history (seq, id, kind, received, at, time, last_at, last_time, last_received, client, every, service, environment, instance, version, revision, build, event, first_place, last_place) VALUES (4, 'n1', 'noted', 1795894436136497464, 1793534640000000000, 1793534640000000000, 1793534640000000000, 1793534640000000000, 1795894436136497464, '', 0, '', '', '', '', '', '', '{"kind":"flag","subject":"checkout","from":"off","to":"on","actor":"ada \u003cada@example.com\u003e"}', 1795894436136497464, 1795894436136497464);
INSERT INTO history (seq, id, kind, received, at, time, last_at, last_time, last_received, client, every, service, environment, instance, version, revision, build, event, first_place, last_place) VALUES (5, 'n2', 'noted', 1795894436148835533, 1793620800000000000, 1793620800000000000, 1793620800000000000, 1793620800000000000, 1795894436148835533, '', 0, '', '', '', '', '', '', '{"kind":"window","subject":"Umzug \"Nürnberg\", ''quoted''","to":"planned"}', 1795894436148835533, 1795894436148835533);
INSERT INTO history (seq, id, kind, received, at, time, last_at, last_time, last_received, client, every, service, environment, instance, version, revision, build, event, first_place, last_place) VALUES (7, 'run-c', 'seen', 1795894436149976240, 1793534820000000000, 1793534820000000000, 1793534940000000000, 1793534940000000000, 1795894436149976240, '', 120000000000, 'shop', 'production', 'shop-0', 'v1.1.0', 'abcdef123456', 'd65c6ed25082a7e27a1000c719a56254', '', 1795894436149976241, 1795894436149976242);
INSERT INTO history (seq, id, kind, received, at, time, last_at, last_time, last_received, client, every, service, environment, instance, version, revision, build, event, first_place, last_place) VALUES (9, 'run-d', 'started', 1795894436151110157, 1793534880000000000, 1793534880000000000, 1793534880000000000, 1793534880000000000, 1795894436151110157, '', 0, 'batch', '', 'batch-0', 'build-4711', '', '', '', 1795894436151110157, 1795894436151110157);
INSERT INTO history_builds (digest, info) VALUES ('531c9225d67fa975dca069e25210f0da', '{"name":null,"version":"v1.0.0","kind":"release","dirty":null,"revision":null,"time":null,"environment":null,"package":"example.com/shop","module":"example.com/shop","moduleVersion":"v1.0.0","moduleSum":"h1:v1.0.0","goVersion":"go1.26.8","platform":null,"deps":[{"path":"example.com/lib","version":"v1.0.0","sum":"h1:v1.0.0"}],"settings":{},"origins":{},"conflicts":[]}');
INSERT INTO history_builds (digest, info) VALUES ('d65c6ed25082a7e27a1000c719a56254', '{"name":null,"version":"v1.1.0","kind":"release","dirty":null,"revision":null,"time":null,"environment":null,"package":"example.com/shop","module":"example.com/shop","moduleVersion":"v1.1.0","moduleSum":"h1:v1.1.0","goVersion":"go1.26.8","platform":null,"deps":[{"path":"example.com/lib","version":"v1.1.0","sum":"h1:v1.1.0"}],"settings":{},"origins":{},"conflicts":[]}');
INSERT INTO history_schema (version) VALUES (3);
