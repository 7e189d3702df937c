-- Whether the server runs with what its files say, the databases to which only their owner may connect, and all names.
SELECT EXISTS (SELECT FROM pg_file_settings WHERE sourcefile = %s AND error IS NOT NULL) AS restart,
       pg_conf_load_time() < greatest((pg_stat_file(%s)).modification, (pg_stat_file(%s)).modification) AS reload,
       ARRAY(SELECT datname || ' of ' || pg_get_userbyid(datdba) FROM pg_database
             WHERE NOT EXISTS (SELECT FROM aclexplode(coalesce(datacl, acldefault('d', datdba))) WHERE grantee = 0)
            ) AS kept,
       ARRAY(SELECT datname::text FROM pg_database) AS databases,
       ARRAY(SELECT rolname::text FROM pg_roles) AS roles
