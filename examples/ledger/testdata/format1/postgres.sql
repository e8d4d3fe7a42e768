CREATE TABLE public.history (
    seq bigint NOT NULL,
    id text NOT NULL,
    kind text NOT NULL,
    received bigint NOT NULL,
    at bigint NOT NULL,
    "time" bigint NOT NULL,
    last_at bigint NOT NULL,
    last_time bigint NOT NULL,
    last_received bigint NOT NULL,
    client text NOT NULL,
    every bigint NOT NULL,
    service text NOT NULL,
    environment text NOT NULL,
    instance text NOT NULL,
    version text NOT NULL,
    revision text NOT NULL,
    build text NOT NULL,
    event text NOT NULL,
    first_place bigint DEFAULT 0 NOT NULL,
    last_place bigint DEFAULT 0 NOT NULL
);
CREATE TABLE public.history_builds (
    digest text NOT NULL,
    info text NOT NULL
);
CREATE TABLE public.history_schema (
    version integer NOT NULL
);
ALTER TABLE public.history ALTER COLUMN seq ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.history_seq_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
INSERT INTO public.history (seq, id, kind, received, at, "time", last_at, last_time, last_received, client, every, service, environment, instance, version, revision, build, event, first_place, last_place) OVERRIDING SYSTEM VALUE VALUES (3, 'ci/run-b', 'started', 1795894436652087000, 1793534580000241937, 1793538180000000000, 1793534580000241937, 1793538180000000000, 1795894436652087000, 'ci', 120000000000, 'shop', 'production', 'shop-1', 'v1.0.0', 'abcdef123456', '531c9225d67fa975dca069e25210f0da', '', 1795894436652087000, 1795894436652087000);
INSERT INTO public.history (seq, id, kind, received, at, "time", last_at, last_time, last_received, client, every, service, environment, instance, version, revision, build, event, first_place, last_place) OVERRIDING SYSTEM VALUE VALUES (4, 'n1', 'noted', 1795894436656931000, 1793534640000000000, 1793534640000000000, 1793534640000000000, 1793534640000000000, 1795894436656931000, '', 0, '', '', '', '', '', '', '{"kind":"flag","subject":"checkout","from":"off","to":"on","actor":"ada \u003cada@example.com\u003e"}', 1795894436656931000, 1795894436656931000);
INSERT INTO public.history (seq, id, kind, received, at, "time", last_at, last_time, last_received, client, every, service, environment, instance, version, revision, build, event, first_place, last_place) OVERRIDING SYSTEM VALUE VALUES (5, 'n2', 'noted', 1795894436657837000, 1793620800000000000, 1793620800000000000, 1793620800000000000, 1793620800000000000, 1795894436657837000, '', 0, '', '', '', '', '', '', '{"kind":"window","subject":"Umzug \"Nürnberg\", ''quoted''","to":"planned"}', 1795894436657837000, 1795894436657837000);
INSERT INTO public.history (seq, id, kind, received, at, "time", last_at, last_time, last_received, client, every, service, environment, instance, version, revision, build, event, first_place, last_place) OVERRIDING SYSTEM VALUE VALUES (1, 'run-a', 'stopped', 1795894436648583000, 1793534400000000000, 1793534400000000000, 1793534760000000000, 1793534760000000000, 1795894436658674000, '', 120000000000, 'shop', 'production', 'shop-0', 'v1.0.0', 'abcdef123456', '531c9225d67fa975dca069e25210f0da', '', 1795894436648583000, 1795894436658674000);
INSERT INTO public.history (seq, id, kind, received, at, "time", last_at, last_time, last_received, client, every, service, environment, instance, version, revision, build, event, first_place, last_place) OVERRIDING SYSTEM VALUE VALUES (7, 'run-c', 'seen', 1795894436658674000, 1793534820000000000, 1793534820000000000, 1793534940000000000, 1793534940000000000, 1795894436658674000, '', 120000000000, 'shop', 'production', 'shop-0', 'v1.1.0', 'abcdef123456', 'd65c6ed25082a7e27a1000c719a56254', '', 1795894436658674001, 1795894436658674002);
INSERT INTO public.history (seq, id, kind, received, at, "time", last_at, last_time, last_received, client, every, service, environment, instance, version, revision, build, event, first_place, last_place) OVERRIDING SYSTEM VALUE VALUES (9, 'run-d', 'started', 1795894436659870000, 1793534880000000000, 1793534880000000000, 1793534880000000000, 1793534880000000000, 1795894436659870000, '', 0, 'batch', '', 'batch-0', 'build-4711', '', '', '', 1795894436659870000, 1795894436659870000);
INSERT INTO public.history_builds (digest, info) VALUES ('531c9225d67fa975dca069e25210f0da', '{"name":null,"version":"v1.0.0","kind":"release","dirty":null,"revision":null,"time":null,"environment":null,"package":"example.com/shop","module":"example.com/shop","moduleVersion":"v1.0.0","moduleSum":"h1:v1.0.0","goVersion":"go1.26.8","platform":null,"deps":[{"path":"example.com/lib","version":"v1.0.0","sum":"h1:v1.0.0"}],"settings":{},"origins":{},"conflicts":[]}');
INSERT INTO public.history_builds (digest, info) VALUES ('d65c6ed25082a7e27a1000c719a56254', '{"name":null,"version":"v1.1.0","kind":"release","dirty":null,"revision":null,"time":null,"environment":null,"package":"example.com/shop","module":"example.com/shop","moduleVersion":"v1.1.0","moduleSum":"h1:v1.1.0","goVersion":"go1.26.8","platform":null,"deps":[{"path":"example.com/lib","version":"v1.1.0","sum":"h1:v1.1.0"}],"settings":{},"origins":{},"conflicts":[]}');
INSERT INTO public.history_schema (version) VALUES (3);
SELECT pg_catalog.setval('public.history_seq_seq', 9, true);
ALTER TABLE ONLY public.history_builds
    ADD CONSTRAINT history_builds_pkey PRIMARY KEY (digest);
ALTER TABLE ONLY public.history
    ADD CONSTRAINT history_id_key UNIQUE (id);
ALTER TABLE ONLY public.history
    ADD CONSTRAINT history_pkey PRIMARY KEY (seq);
CREATE INDEX history_build ON public.history USING btree (build);
CREATE INDEX history_last ON public.history USING btree (last_at);
CREATE INDEX history_place ON public.history USING btree (last_place);
