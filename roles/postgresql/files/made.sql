-- Of the declared databases and roles: those with the mark, and the others. A role that owns another's database stays.
WITH d AS (SELECT datname::text, datdba, shobj_description(oid, 'pg_database') IS NOT DISTINCT FROM %(mark)s AS ours
             FROM pg_database),
     wanted_d AS (SELECT * FROM d WHERE datname IN (%(database)s, %(results_database)s)),
     wanted_r AS (SELECT rolname::text, shobj_description(oid, 'pg_authid') IS NOT DISTINCT FROM %(mark)s
                         AND NOT EXISTS (SELECT FROM d WHERE datdba = pg_roles.oid AND NOT ours) AS ours
                    FROM pg_roles WHERE rolname IN (%(user)s, %(results_user)s))
SELECT ARRAY(SELECT datname FROM wanted_d WHERE ours) AS databases,
       ARRAY(SELECT rolname FROM wanted_r WHERE ours) AS roles,
       ARRAY(SELECT 'database ' || datname FROM wanted_d WHERE NOT ours
             UNION ALL SELECT 'role ' || rolname FROM wanted_r WHERE NOT ours) AS others
