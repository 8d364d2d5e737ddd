#!/bin/sh
# Runs once in a new database container: the owner migrates, the application reads and writes rows and owns nothing.
set -eu
psql --set ON_ERROR_STOP=1 --username postgres \
  --set owner_password="$RTX_OWNER_PASSWORD" --set app_password="$RTX_APP_PASSWORD" <<'SQL'
CREATE ROLE rtx_owner LOGIN PASSWORD :'owner_password';
CREATE ROLE rtx_app LOGIN PASSWORD :'app_password';
CREATE DATABASE rtx OWNER rtx_owner;
\connect rtx
ALTER DEFAULT PRIVILEGES FOR ROLE rtx_owner IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO rtx_app;
ALTER DEFAULT PRIVILEGES FOR ROLE rtx_owner IN SCHEMA public GRANT USAGE, SELECT ON SEQUENCES TO rtx_app;
SQL
