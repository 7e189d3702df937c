-- Whether the server runs with what its files say, and the databases to which only their owner may connect.
SELECT EXISTS (SELECT FROM pg_file_settings WHERE sourcefile = %s AND error IS NOT NULL) AS restart,
       pg_conf_load_time() < greatest((pg_stat_file(%s)).modification, (pg_stat_file(%s)).modification) AS reload,
       ARRAY(SELECT datname || ' of ' || pg_get_userbyid(datdba) FROM pg_database
             WHERE NOT EXISTS (SELECT FROM aclexplode(coalesce(datacl, acldefault('d', datdba))) WHERE grantee = 0)
            ) AS kept
