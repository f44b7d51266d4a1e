BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0001');
CREATE TABLE attempt (
	id INTEGER NOT NULL, 
	node_id INTEGER NOT NULL, 
	no INTEGER NOT NULL, 
	fence INTEGER NOT NULL, 
	state VARCHAR DEFAULT 'started' NOT NULL, 
	owner VARCHAR NOT NULL, 
	host VARCHAR, 
	boot VARCHAR, 
	pid INTEGER, 
	pid_started INTEGER, 
	device VARCHAR, 
	exit_code INTEGER, 
	error VARCHAR, 
	folder VARCHAR NOT NULL, 
	log VARCHAR NOT NULL, 
	started INTEGER NOT NULL, 
	ended INTEGER, 
	seconds FLOAT, 
	run_id VARCHAR, 
	PRIMARY KEY (id), 
	CONSTRAINT attempt_state CHECK (state IN ('started', 'ok', 'error', 'oom', 'timeout', 'preempted', 'lost', 'cancelled')), 
	FOREIGN KEY(node_id) REFERENCES node (id), 
	CONSTRAINT attempt_no UNIQUE (node_id, no)
);
INSERT INTO "attempt" VALUES(1,1,1,1,'ok','me','h','b',1,2,'cpu',NULL,NULL,'assets/graph-1-1d9fd0ebda436d1c4769/1-1','assets/graph-1-1d9fd0ebda436d1c4769/1-1.log',1795230586,1795230586,1.5,NULL);
INSERT INTO "attempt" VALUES(2,2,1,1,'ok','me','h','b',1,2,'cpu',NULL,NULL,'assets/model-1-081ece7494ddd283fd38/1-1','assets/model-1-081ece7494ddd283fd38/1-1.log',1795230586,1795230586,1.5,NULL);
INSERT INTO "attempt" VALUES(3,3,1,1,'ok','me','h','b',1,2,'cpu',NULL,NULL,'assets/before-1-f3aa37f6f55356da2a6d/1-1','assets/before-1-f3aa37f6f55356da2a6d/1-1.log',1795230586,1795230586,1.5,NULL);
INSERT INTO "attempt" VALUES(4,4,1,1,'ok','me','h','b',1,2,'cpu',NULL,NULL,'assets/update-1-9e2dc4f8d8012dd93b3a/1-1','assets/update-1-9e2dc4f8d8012dd93b3a/1-1.log',1795230586,1795230586,1.5,NULL);
INSERT INTO "attempt" VALUES(5,5,1,1,'lost','me','h','b',1,2,'cpu',NULL,'its worker was killed by SIGKILL','outcomes/trial-1-258822551c6bf20ade26/1-1','outcomes/trial-1-258822551c6bf20ade26/1-1.log',1795230586,1795230586,NULL,NULL);
INSERT INTO "attempt" VALUES(6,5,2,2,'ok','me','h','b',1,2,'cpu',NULL,NULL,'outcomes/trial-1-258822551c6bf20ade26/2-2','outcomes/trial-1-258822551c6bf20ade26/2-2.log',1795230586,1795230586,1.5,NULL);
CREATE TABLE metric (
	id INTEGER NOT NULL, 
	node_id INTEGER NOT NULL, 
	attempt_id INTEGER NOT NULL, 
	step INTEGER NOT NULL, 
	probe VARCHAR NOT NULL, 
	measure VARCHAR NOT NULL, 
	slice VARCHAR NOT NULL, 
	hop INTEGER, 
	value FLOAT, 
	n INTEGER NOT NULL, 
	low FLOAT, 
	high FLOAT, 
	PRIMARY KEY (id), 
	FOREIGN KEY(attempt_id) REFERENCES attempt (id), 
	FOREIGN KEY(node_id) REFERENCES node (id)
);
INSERT INTO "metric" VALUES(1,5,6,1,'efficacy','success','',NULL,1.0,20,0.8,1.0);
CREATE TABLE need (
	node_id INTEGER NOT NULL, 
	role VARCHAR NOT NULL, 
	needs_id INTEGER NOT NULL, 
	PRIMARY KEY (node_id, role), 
	FOREIGN KEY(needs_id) REFERENCES node (id), 
	FOREIGN KEY(node_id) REFERENCES node (id)
);
INSERT INTO "need" VALUES(2,'graph',1);
INSERT INTO "need" VALUES(3,'graph',1);
INSERT INTO "need" VALUES(3,'model',2);
INSERT INTO "need" VALUES(4,'graph',1);
INSERT INTO "need" VALUES(4,'model',2);
INSERT INTO "need" VALUES(5,'graph',1);
INSERT INTO "need" VALUES(5,'model',2);
INSERT INTO "need" VALUES(5,'update',4);
INSERT INTO "need" VALUES(5,'before',3);
INSERT INTO "need" VALUES(6,'graph',1);
INSERT INTO "need" VALUES(7,'graph',1);
INSERT INTO "need" VALUES(7,'model',6);
INSERT INTO "need" VALUES(8,'graph',1);
INSERT INTO "need" VALUES(8,'model',6);
INSERT INTO "need" VALUES(9,'graph',1);
INSERT INTO "need" VALUES(9,'model',6);
INSERT INTO "need" VALUES(9,'update',8);
INSERT INTO "need" VALUES(9,'before',7);
CREATE TABLE node (
	id INTEGER NOT NULL, 
	"key" VARCHAR NOT NULL, 
	kind VARCHAR NOT NULL, 
	recipe JSON NOT NULL, 
	files JSON NOT NULL, 
	group_key VARCHAR NOT NULL, 
	priority INTEGER NOT NULL, 
	state VARCHAR NOT NULL, 
	fence INTEGER DEFAULT '0' NOT NULL, 
	lease_owner VARCHAR, 
	lease_until INTEGER, 
	attempt_no INTEGER DEFAULT '0' NOT NULL, 
	max_attempts INTEGER DEFAULT '1' NOT NULL, 
	charged INTEGER DEFAULT '0' NOT NULL, 
	lost INTEGER DEFAULT '0' NOT NULL, 
	not_before INTEGER DEFAULT '0' NOT NULL, 
	cancel_requested INTEGER DEFAULT '0' NOT NULL, 
	folder VARCHAR, 
	reason VARCHAR, 
	created INTEGER NOT NULL, 
	PRIMARY KEY (id), 
	CONSTRAINT node_state CHECK (state IN ('blocked', 'ready', 'leased', 'running', 'done', 'failed', 'cancelled')), 
	UNIQUE ("key")
);
INSERT INTO "node" VALUES(1,'graph-1-1d9fd0ebda436d1c4769','graph','{"graph": {"source": "synthetic", "orders": {"graph": {"n": 1}}}}','{}','graph-1-1d9fd0ebda436d1c4769',50,'done',1,NULL,NULL,1,1,0,0,1795230586,0,'assets/graph-1-1d9fd0ebda436d1c4769/1-1',NULL,1795230586);
INSERT INTO "node" VALUES(2,'model-1-081ece7494ddd283fd38','model','{"model": {"recipe": "tiny", "orders": {}}}','{}','model-1-081ece7494ddd283fd38',40,'done',1,NULL,NULL,1,1,0,0,1795230586,0,'assets/model-1-081ece7494ddd283fd38/1-1',NULL,1795230586);
INSERT INTO "node" VALUES(3,'before-1-f3aa37f6f55356da2a6d','before','{"task": {"kind": "edit", "scale": 1}, "probe": {"kinds": ["efficacy"], "orders": {}}, "seed": 0}','{}','model-1-081ece7494ddd283fd38',20,'done',1,NULL,NULL,1,1,0,0,1795230586,0,'assets/before-1-f3aa37f6f55356da2a6d/1-1',NULL,1795230586);
INSERT INTO "node" VALUES(4,'update-1-9e2dc4f8d8012dd93b3a','update','{"task": {"kind": "edit", "method": "graddiff", "scale": 1}, "method": {"name": "graddiff", "orders": {}}, "seed": 0}','{}','model-1-081ece7494ddd283fd38',0,'done',1,NULL,NULL,1,1,0,0,1795230586,0,'assets/update-1-9e2dc4f8d8012dd93b3a/1-1',NULL,1795230586);
INSERT INTO "node" VALUES(5,'trial-1-258822551c6bf20ade26','trial','{"task": {"kind": "edit", "method": "graddiff", "scale": 1}, "method": {"name": "graddiff", "orders": {}}, "probe": {"kinds": ["efficacy"], "orders": {}}, "seed": 0}','{}','model-1-081ece7494ddd283fd38',10,'done',2,NULL,NULL,2,1,0,1,1795230586,0,'outcomes/trial-1-258822551c6bf20ade26/2-2',NULL,1795230586);
INSERT INTO "node" VALUES(6,'model-1-494761954500729ba146','model','{"model": {"recipe": "tiny", "orders": {"model": {"n": 2}}}}','{}','model-1-494761954500729ba146',40,'ready',0,NULL,NULL,0,1,0,0,0,0,NULL,NULL,1795230586);
INSERT INTO "node" VALUES(7,'before-1-b008cc40176fa8a8911e','before','{"task": {"kind": "edit", "scale": 1}, "probe": {"kinds": ["efficacy"], "orders": {}}, "seed": 0}','{}','model-1-494761954500729ba146',20,'blocked',0,NULL,NULL,0,1,0,0,0,0,NULL,NULL,1795230586);
INSERT INTO "node" VALUES(8,'update-1-acca851db6eb04d8d0ba','update','{"task": {"kind": "edit", "method": "graddiff", "scale": 1}, "method": {"name": "graddiff", "orders": {}}, "seed": 0}','{}','model-1-494761954500729ba146',0,'blocked',0,NULL,NULL,0,1,0,0,0,0,NULL,NULL,1795230586);
INSERT INTO "node" VALUES(9,'trial-1-044eb6ab8c1b9f251292','trial','{"task": {"kind": "edit", "method": "graddiff", "scale": 1}, "method": {"name": "graddiff", "orders": {}}, "probe": {"kinds": ["efficacy"], "orders": {}}, "seed": 0}','{}','model-1-494761954500729ba146',10,'blocked',0,NULL,NULL,0,1,0,0,0,0,NULL,NULL,1795230586);
CREATE TABLE outbox (
	id INTEGER NOT NULL, 
	node_id INTEGER NOT NULL, 
	attempt_id INTEGER NOT NULL, 
	kind VARCHAR NOT NULL, 
	payload JSON NOT NULL, 
	created INTEGER NOT NULL, 
	done_at INTEGER, 
	error VARCHAR, 
	PRIMARY KEY (id), 
	FOREIGN KEY(attempt_id) REFERENCES attempt (id), 
	FOREIGN KEY(node_id) REFERENCES node (id)
);
INSERT INTO "outbox" VALUES(1,5,5,'attempt','{"node_id": 5, "attempt_id": 5}',1795230586,NULL,NULL);
INSERT INTO "outbox" VALUES(2,5,6,'attempt','{"node_id": 5, "attempt_id": 6}',1795230586,NULL,NULL);
CREATE TABLE study (
	id INTEGER NOT NULL, 
	name VARCHAR NOT NULL, 
	question VARCHAR NOT NULL, 
	text VARCHAR NOT NULL, 
	grid JSON NOT NULL, 
	key_version INTEGER NOT NULL, 
	created INTEGER NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (name)
);
INSERT INTO "study" VALUES(1,'old','Does it run?','name = "old"','{"trials": 2, "settings": {"task.scale": [1, 1]}, "zip": [], "when": [], "exclude": []}',1,1795230586);
CREATE TABLE study_trial (
	study_id INTEGER NOT NULL, 
	node_id INTEGER NOT NULL, 
	position INTEGER NOT NULL, 
	axes JSON NOT NULL, 
	settings JSON NOT NULL, 
	run_id VARCHAR, 
	PRIMARY KEY (study_id, node_id), 
	FOREIGN KEY(node_id) REFERENCES node (id), 
	FOREIGN KEY(study_id) REFERENCES study (id)
);
INSERT INTO "study_trial" VALUES(1,5,0,'{"task.scale": 1}','{"seed": 0, "graph.source": "synthetic", "graph.orders": {"graph": {"n": 1}}, "model.recipe": "tiny", "model.orders": {}, "task.kind": "edit", "task.method": "graddiff", "task.scale": 1, "method.graddiff.orders": {}, "probe.kinds": ["efficacy"], "probe.orders": {}}',NULL);
INSERT INTO "study_trial" VALUES(1,9,1,'{"task.scale": 1}','{"seed": 0, "graph.source": "synthetic", "graph.orders": {"graph": {"n": 1}}, "model.recipe": "tiny", "model.orders": {"model": {"n": 2}}, "task.kind": "edit", "task.method": "graddiff", "task.scale": 1, "method.graddiff.orders": {}, "probe.kinds": ["efficacy"], "probe.orders": {}}',NULL);
CREATE INDEX node_lease ON node (lease_until) WHERE state IN ('leased', 'running');
CREATE INDEX node_ready ON node (priority, id) WHERE state = 'ready';
CREATE INDEX attempt_open ON attempt (node_id) WHERE state = 'started';
CREATE INDEX need_of ON need (needs_id);
CREATE INDEX study_trial_node ON study_trial (node_id);
CREATE INDEX metric_node ON metric (node_id);
CREATE INDEX outbox_todo ON outbox (id) WHERE done_at IS NULL;
COMMIT;
