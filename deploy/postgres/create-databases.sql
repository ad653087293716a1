-- Run once by the image in an empty cluster. Who serves the catalogue cannot read the jobs, and the other way round.
\getenv tiled_password TILED_DATABASE_PASSWORD
\getenv jobs_password JOBS_DATABASE_PASSWORD

CREATE ROLE tiled LOGIN PASSWORD :'tiled_password';
CREATE ROLE subprobe LOGIN PASSWORD :'jobs_password';

CREATE DATABASE tiled_catalog OWNER tiled;
CREATE DATABASE tiled_storage OWNER tiled;
CREATE DATABASE tiled_people OWNER tiled;  -- used by config-multi-user.yml alone
CREATE DATABASE subprobe_jobs OWNER subprobe;

REVOKE CONNECT ON DATABASE tiled_catalog, tiled_storage, tiled_people, subprobe_jobs FROM PUBLIC;
