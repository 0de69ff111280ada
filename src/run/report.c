/*-------------------------------------------------------------------------
 *
 * report.c
 *		ftm_report(): a run as one HTML page.
 *
 * The page needs nothing else: no script, no font, no picture from elsewhere.
 * It is well-formed XML and plain ASCII (everything beyond is a character
 * reference), so that no encoding between here and the reader's browser can
 * spoil it.  All text goes through put_text().
 *
 * E-mail addresses are left out unless asked for, those in messages included.
 * Secrets cannot be in it: none of the tables read here has any.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"

#include "base/extension.h"
#include "run/report_style.h"
#include "run/state.h"

PG_FUNCTION_INFO_V1(ftm_report);

/* What lists show at most. */
#define MAX_USERS		100
#define MAX_MESSAGES	200

/* $1 is the run, $2 whether e-mail addresses may be shown; see query(). */
#define WITHOUT_EMAILS(text) \
	"CASE WHEN $2::boolean THEN " text \
	" ELSE regexp_replace(" text \
	", '[^[:space:]@<>()\"'',;:=]+@[^[:space:]@<>()\"'',;:=]+', '(e-mail)', 'g') END"
#define COUNT_TEXT(number) \
	"to_char(" number ", 'FM999,999,999,999,999,990')"
#define TIME_TEXT(time) \
	"to_char(" time ", 'YYYY-MM-DD HH24:MI:SS')"

/* Measures of the timeline, in pixels of a drawing that scales. */
#define CHART_WIDTH		960
#define CHART_LEFT		84		/* for names of the lanes */
#define LANE_HEIGHT		24
#define BAR_HEIGHT		18
#define CHARACTER_WIDTH	6.2		/* of a bar's label, on average */
#define MAX_TICKS		8

typedef struct Report
{
	StringInfo	page;
	int64		run_id;
	bool		emails;
} Report;

/* The timeline's scale. */
typedef struct Chart
{
	double		seconds;		/* from left to right */
	int			lanes;
} Chart;

static RowSet *query(const Report *report, const char *sql);
static void put_text(StringInfo page, const char *text);
static void put_begin(const Report *report);
static void put_verdict(const Report *report);
static void put_figures(const Report *report);
static void put_timeline(const Report *report);
static void put_axis(StringInfo page, const Chart *chart);
static void put_bars(StringInfo page, const Chart *chart, const RowSet *bars);
static void put_tables(const Report *report);
static void put_users(const Report *report);
static void put_messages(const Report *report);
static void put_verdicts(const Report *report);
static void put_settings(const Report *report);
static void put_versions(const Report *report);
static void put_end(const Report *report);
static const char *verdict_class(const char *value);
static void put_table(StringInfo page, const char *const *headings,
					  const RowSet *rows, int first_number, int last_number);

/*
 * ftm_report(run_id, emails)
 *
 * The page as text; run_id NULL: the latest run.
 */
Datum
ftm_report(PG_FUNCTION_ARGS)
{
	Report		report;

	report.page = makeStringInfo();
	report.run_id = PG_ARGISNULL(0) ? ftm_state_latest_run() : PG_GETARG_INT64(0);
	report.emails = !PG_ARGISNULL(1) && PG_GETARG_BOOL(1);

	if (report.emails)
		ftm_extension_require_select("ftm_user");

	put_begin(&report);
	put_verdict(&report);
	put_figures(&report);
	put_timeline(&report);
	put_tables(&report);
	put_users(&report);
	put_messages(&report);
	put_verdicts(&report);
	put_settings(&report);
	put_versions(&report);
	put_end(&report);
	PG_RETURN_TEXT_P(cstring_to_text_with_len(report.page->data,
											  report.page->len));
}

static RowSet *
query(const Report *report, const char *sql)
{
	const char *params[2] = {psprintf(INT64_FORMAT, report->run_id),
	report->emails ? "t" : "f"};

	return ftm_state_query(sql, 2, params);
}

/*
 * Text of any origin, in the database's encoding; NULL: nothing.  What XML has
 * no way to write becomes U+FFFD.
 */
static void
put_text(StringInfo page, const char *text)
{
	const unsigned char *c;
	const unsigned char *end;

	if (text == NULL)
		return;
	if (GetDatabaseEncoding() != PG_SQL_ASCII)
		text = pg_server_to_any(text, (int) strlen(text), PG_UTF8);

	end = (const unsigned char *) text + strlen(text);
	for (c = (const unsigned char *) text; c < end; c++)
	{
		if (*c == '<')
			appendStringInfoString(page, "&lt;");
		else if (*c == '>')
			appendStringInfoString(page, "&gt;");
		else if (*c == '&')
			appendStringInfoString(page, "&amp;");
		else if (*c == '"')
			appendStringInfoString(page, "&quot;");
		else if (*c == '\'')
			appendStringInfoString(page, "&#39;");
		else if ((*c >= 0x20 && *c < 0x7f) || *c == '\n' || *c == '\t')
			appendStringInfoChar(page, *c);
		else if (*c < 0x80 || pg_utf_mblen(c) > end - c ||
				 !pg_utf8_islegal(c, pg_utf_mblen(c)))
			appendStringInfoString(page, "&#xFFFD;");
		else
		{
			pg_wchar	character = utf8_to_unicode(c);

			if (character < 0xa0 || (character & 0xfffe) == 0xfffe)
				character = 0xfffd;
			appendStringInfo(page, "&#x%X;", character);
			c += pg_utf_mblen(c) - 1;
		}
	}
}

/* An element with nothing but text in it. */
static void
put_element(StringInfo page, const char *tag, const char *class,
			const char *text)
{
	appendStringInfo(page, "<%s", tag);
	if (class != NULL)
		appendStringInfo(page, " class=\"%s\"", class);
	appendStringInfoChar(page, '>');
	put_text(page, text);
	appendStringInfo(page, "</%s>\n", tag);
}

static void
put_begin(const Report *report)
{
	appendStringInfo(report->page,
					 "<!DOCTYPE html>\n"
					 "<html xmlns=\"http://www.w3.org/1999/xhtml\" lang=\"en\">\n"
					 "<head>\n"
					 "<meta charset=\"utf-8\" />\n"
					 "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\" />\n"
					 "<meta name=\"color-scheme\" content=\"light dark\" />\n"
					 "<title>Migration run " INT64_FORMAT "</title>\n"
					 "<style>\n%s</style>\n"
					 "</head>\n<body>\n<main>\n",
					 report->run_id, REPORT_STYLE);
}

/*
 * How it ended, before anything else.  Error if there is no such run.
 */
static void
put_verdict(const Report *report)
{
	static const struct
	{
		const char *status;
		const char *class;
		const char *verdict;
	}			verdicts[] =
	{
		{"verified", "good", "Verified: the target holds what the source holds"},
		{"loaded", "warn", "Loaded, but not verified"},
		{"running", "warn", "Not finished"},
		{"rolled back", "warn", "Rolled back"},
		{"failed", "bad", "Failed"},
	};
	RowSet	   *run;
	const char *status;

	run = query(report,
				"SELECT status, source, " WITHOUT_EMAILS("error") ","
				"       error_code, " TIME_TEXT("started_at") ","
				"       " TIME_TEXT("finished_at") ", calls"
				"  FROM @schema@.ftm_run WHERE run_id = $1::bigint");
	if (run->nrows == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("there is no run " INT64_FORMAT, report->run_id),
				 errhint("ftm_run shows the runs.")));

	status = ftm_rowset_value(run, 0, 0);
	for (int i = 0; i < (int) lengthof(verdicts); i++)
	{
		if (strcmp(status, verdicts[i].status) != 0)
			continue;
		appendStringInfo(report->page, "<header class=\"%s\">\n",
						 verdicts[i].class);
		put_element(report->page, "p", "kicker",
					psprintf("Migration run " INT64_FORMAT " from \"%s\"",
							 report->run_id, ftm_rowset_value(run, 0, 1)));
		put_element(report->page, "h1", NULL, verdicts[i].verdict);
	}
	if (ftm_rowset_value(run, 0, 2) != NULL)
		put_element(report->page, "p", "error",
					psprintf("%s (SQLSTATE %s)", ftm_rowset_value(run, 0, 2),
							 ftm_rowset_value(run, 0, 3)));
	put_element(report->page, "p", NULL,
				ftm_rowset_value(run, 0, 5) == NULL ?
				psprintf("Begun at %s UTC.", ftm_rowset_value(run, 0, 4)) :
				psprintf("From %s to %s UTC, in %s call%s.",
						 ftm_rowset_value(run, 0, 4),
						 ftm_rowset_value(run, 0, 5),
						 ftm_rowset_value(run, 0, 6),
						 strcmp(ftm_rowset_value(run, 0, 6), "1") == 0 ? "" : "s"));
	appendStringInfoString(report->page, "</header>\n");
}

/*
 * The run in a few numbers.
 */
static void
put_figures(const Report *report)
{
	static const char *const names[] = {"tables loaded", "tables verified",
	"rows", "read from the source", "user ids mapped", "user ids kept"};
	RowSet	   *sums;

	sums = query(report,
				 "SELECT count(*) FILTER (WHERE status = 'loaded') || ' of ' || count(*),"
				 "       count(*) FILTER (WHERE status = 'loaded' AND verified) || ' of ' || count(*),"
				 "       " COUNT_TEXT("coalesce(sum(rows), 0)") ","
				 "       pg_size_pretty(coalesce(sum(bytes), 0)),"
				 "       " COUNT_TEXT("coalesce(sum(ids_mapped), 0)") ","
				 "       " COUNT_TEXT("coalesce(sum(ids_kept), 0)")
				 "  FROM @schema@.ftm_run_table"
				 " WHERE run_id = $1::bigint AND $2::boolean IS NOT NULL");

	appendStringInfoString(report->page, "<dl class=\"figures\">\n");
	for (int i = 0; i < (int) lengthof(names); i++)
	{
		appendStringInfoString(report->page, "<div>");
		put_element(report->page, "dt", NULL, names[i]);
		put_element(report->page, "dd", NULL, ftm_rowset_value(sums, 0, i));
		appendStringInfoString(report->page, "</div>\n");
	}
	appendStringInfoString(report->page, "</dl>\n");
}

/*
 * What each worker did when, in the run's last call; its steps on top.  Bars
 * are rows of: lane, begin and end in seconds, name, class.
 */
static void
put_timeline(const Report *report)
{
	StringInfo	page = report->page;
	Chart		chart;
	RowSet	   *bars;
	RowSet	   *length;

	length = query(report,
				   "SELECT extract(epoch FROM greatest(r.finished_at, max(t.finished_at),"
				   "              CASE WHEN r.status = 'running' THEN clock_timestamp() END)"
				   "              - r.call_started_at)"
				   "  FROM @schema@.ftm_run r LEFT JOIN @schema@.ftm_run_table t"
				   "    ON t.run_id = r.run_id AND t.started_at >= r.call_started_at"
				   " WHERE r.run_id = $1::bigint AND $2::boolean IS NOT NULL"
				   " GROUP BY r.run_id");
	if (ftm_rowset_value(length, 0, 0) == NULL)
		return;
	chart.seconds = Max(strtod(ftm_rowset_value(length, 0, 0), NULL), 0.001);

	bars = query(report,
				 "WITH run AS (SELECT * FROM @schema@.ftm_run"
				 "             WHERE run_id = $1::bigint AND $2::boolean IS NOT NULL),"
				 " loads AS (SELECT *, min(started_at) OVER (PARTITION BY worker_pid) AS first_start"
				 "             FROM @schema@.ftm_run_table WHERE run_id = $1::bigint"
				 "              AND started_at >= (SELECT call_started_at FROM run))"
				 " SELECT 0, extract(epoch FROM l.logged_at - r.call_started_at),"
				 "        extract(epoch FROM coalesce(lead(l.logged_at) OVER (ORDER BY l.log_id),"
				 "                                    r.finished_at, clock_timestamp())"
				 "                           - r.call_started_at),"
				 "        l.figures ->> 'step', 'step'"
				 "   FROM run r JOIN @schema@.ftm_log l ON l.run_id = r.run_id"
				 "    AND l.logged_at >= r.call_started_at AND l.figures ? 'step'"
				 " UNION ALL"
				 " SELECT dense_rank() OVER (ORDER BY t.first_start, t.worker_pid),"
				 "        extract(epoch FROM t.started_at - r.call_started_at),"
				 "        extract(epoch FROM coalesce(t.finished_at, r.finished_at, clock_timestamp())"
				 "                           - r.call_started_at),"
				 "        t.table_name,"
				 "        CASE WHEN t.status = 'failed' OR t.verified = false THEN 'bad'"
				 "             WHEN t.status = 'pending' THEN 'stopped' ELSE 'load' END"
				 "   FROM run r JOIN loads t ON t.run_id = r.run_id"
				 " ORDER BY 1, 2");
	chart.lanes = 1;
	for (int i = 0; i < bars->nrows; i++)
		chart.lanes = Max(chart.lanes,
						  1 + (int) ftm_rowset_int64(bars, i, 0));

	put_element(page, "h2", NULL, "Timeline");
	appendStringInfo(page,
					 "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"Steps of the run, and what each worker loaded when\">\n",
					 CHART_WIDTH, (chart.lanes + 1) * LANE_HEIGHT);
	put_axis(page, &chart);
	put_bars(page, &chart, bars);
	appendStringInfoString(page, "</svg>\n");
}

static double
chart_x(const Chart *chart, double seconds)
{
	return CHART_LEFT + (CHART_WIDTH - CHART_LEFT) *
		Max(0, Min(seconds, chart->seconds)) / chart->seconds;
}

/*
 * Vertical lines at round times, and names of the lanes.
 */
static void
put_axis(StringInfo page, const Chart *chart)
{
	static const double units[] = {0.001, 0.01, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20,
		30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 28800, 86400,
	604800};
	int			bottom = chart->lanes * LANE_HEIGHT;
	double		unit = units[lengthof(units) - 1];

	for (int i = 0; i < (int) lengthof(units); i++)
	{
		if (chart->seconds / units[i] <= MAX_TICKS)
		{
			unit = units[i];
			break;
		}
	}
	unit = Max(unit, chart->seconds / MAX_TICKS);

	for (int i = 0; i * unit <= chart->seconds; i++)
	{
		double		time = i * unit;
		double		x = chart_x(chart, time);
		const char *anchor = i == 0 ? "start" :
			x > CHART_WIDTH - 40 ? "end" : "middle";

		appendStringInfo(page,
						 "<line class=\"tick\" x1=\"%.1f\" y1=\"0\" x2=\"%.1f\" y2=\"%d\" />"
						 "<text class=\"tick\" x=\"%.1f\" y=\"%d\" text-anchor=\"%s\">",
						 x, x, bottom, x, bottom + 15, anchor);
		if (unit >= 3600)
			appendStringInfo(page, "%g h</text>\n", time / 3600);
		else if (unit >= 60)
			appendStringInfo(page, "%g min</text>\n", time / 60);
		else
			appendStringInfo(page, "%g s</text>\n", time);
	}
	for (int lane = 0; lane < chart->lanes; lane++)
		appendStringInfo(page, "<text class=\"lane\" x=\"0\" y=\"%d\">%s</text>\n",
						 lane * LANE_HEIGHT + 14,
						 lane == 0 ? "steps" : psprintf("worker %d", lane));
}

/*
 * A bar per row, with its name in it if there is room, and as a tooltip.
 */
static void
put_bars(StringInfo page, const Chart *chart, const RowSet *bars)
{
	for (int i = 0; i < bars->nrows; i++)
	{
		int			y = (int) ftm_rowset_int64(bars, i, 0) * LANE_HEIGHT;
		double		begin = strtod(ftm_rowset_value(bars, i, 1), NULL);
		double		end = strtod(ftm_rowset_value(bars, i, 2), NULL);
		const char *name = ftm_rowset_value(bars, i, 3);
		double		x = chart_x(chart, begin);
		double		width = Max(chart_x(chart, end) - x - 1, 1.5);

		appendStringInfo(page,
						 "<g class=\"%s\"><rect x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"%d\" rx=\"%.1f\">",
						 ftm_rowset_value(bars, i, 4), x, y, width, BAR_HEIGHT,
						 Min(3, width / 2));
		put_element(page, "title", NULL, psprintf("%s: %.3f s", name, end - begin));
		appendStringInfoString(page, "</rect>");
		if (pg_mbstrlen(name) * CHARACTER_WIDTH + 8 < width)
		{
			appendStringInfo(page, "<text x=\"%.1f\" y=\"%d\">", x + 5, y + 13);
			put_text(page, name);
			appendStringInfoString(page, "</text>");
		}
		appendStringInfoString(page, "</g>\n");
	}
}

static void
put_tables(const Report *report)
{
	static const char *const headings[] = {"Table", "Rows", "Bytes", "Seconds",
		"Per second", "Ids mapped", "Ids kept", "Checksum (source / target)",
	"Result", NULL};
	RowSet	   *rows;

	rows = query(report,
				 "SELECT table_name, " COUNT_TEXT("rows") ", pg_size_pretty(bytes),"
				 "       to_char(seconds, 'FM999,999,990.000'),"
				 "       pg_size_pretty((bytes / nullif(seconds, 0))::bigint),"
				 "       " COUNT_TEXT("ids_mapped") ", " COUNT_TEXT("ids_kept") ","
				 "       CASE WHEN source_checksum IS DISTINCT FROM target_checksum"
				 "            THEN coalesce(source_checksum::text, 'none') || ' / '"
				 "                 || coalesce(target_checksum::text, 'none')"
				 "            ELSE source_checksum::text END,"
				 "       CASE WHEN status <> 'loaded' OR verified IS NULL THEN status"
				 "            WHEN verified THEN 'verified' ELSE 'different' END"
				 "       || coalesce(': ' || " WITHOUT_EMAILS("coalesce(error, CASE WHEN NOT verified THEN detail END)") ", '')"
				 "  FROM (SELECT *, CASE WHEN status IN ('loaded', 'rolled back', 'replaced')"
				 "               THEN extract(epoch FROM finished_at - started_at) END AS seconds"
				 "          FROM @schema@.ftm_run_table WHERE run_id = $1::bigint) t"
				 " ORDER BY coalesce(verified, false) OR status = 'loaded' AND verified IS NULL,"
				 "          bytes DESC NULLS LAST, table_name");

	put_element(report->page, "h2", NULL, "Tables");
	put_table(report->page, headings, rows, 1, 6);
}

/*
 * Users by what became of them, and those for whom somebody has to act.
 */
static void
put_users(const Report *report)
{
	static const char *const outcome_headings[] = {"Outcome", "Treatment",
		"Users", "Must reset the password", "Lose a second factor",
	"Cannot be reached", NULL};
	static const char *const user_headings[] = {"User", "Outcome", "Reason", NULL};
	RowSet	   *outcomes;
	RowSet	   *users;

	outcomes = query(report,
					 "SELECT status, treatment, " COUNT_TEXT("count(*)") ","
					 "       " COUNT_TEXT("count(*) FILTER (WHERE must_reset_password)") ","
					 "       " COUNT_TEXT("count(*) FILTER (WHERE loses_mfa)") ","
					 "       " COUNT_TEXT("count(*) FILTER (WHERE unreachable)")
					 "  FROM @schema@.ftm_user"
					 " WHERE $1::bigint IS NOT NULL AND $2::boolean IS NOT NULL"
					 " GROUP BY status, treatment ORDER BY count(*) DESC, status, treatment");
	if (outcomes->nrows == 0)
		return;
	put_element(report->page, "h2", NULL, "Users");
	put_table(report->page, outcome_headings, outcomes, 2, 5);

	users = query(report,
				  "SELECT source_user_id || CASE WHEN $2::boolean THEN coalesce(' ' || email, '') ELSE '' END,"
				  "       status, " WITHOUT_EMAILS("coalesce(difference, reason)")
				  "  FROM @schema@.ftm_user"
				  " WHERE (status IN ('conflict', 'in_doubt', 'failed') OR NOT verified)"
				  "   AND $1::bigint IS NOT NULL"
				  " ORDER BY status, user_created_at, source_user_id"
				  " LIMIT " CppAsString2(MAX_USERS));
	if (users->nrows == 0)
		return;
	put_element(report->page, "h3", NULL, users->nrows < MAX_USERS ?
				"Users that need a decision" :
				"The first " CppAsString2(MAX_USERS) " users that need a decision");
	put_table(report->page, user_headings, users, -1, -1);
}

static void
put_messages(const Report *report)
{
	static const char *const headings[] = {"Time (UTC)", "Level", "Table",
	"Message", NULL};
	RowSet	   *messages;

	messages = query(report,
					 "SELECT " TIME_TEXT("logged_at") ", level, table_name,"
					 "       " WITHOUT_EMAILS("message")
					 "  FROM @schema@.ftm_log"
					 " WHERE run_id = $1::bigint"
					 "   AND level IN ('WARNING', 'ERROR', 'FATAL', 'PANIC')"
					 " ORDER BY log_id DESC LIMIT " CppAsString2(MAX_MESSAGES));
	put_element(report->page, "h2", NULL, "Warnings and errors");
	if (messages->nrows == 0)
		put_element(report->page, "p", NULL, "None.");
	else
		put_table(report->page, headings, messages, -1, -1);
}

/*
 * What verification found of everything but tables; what is wrong comes first.
 */
static void
put_verdicts(const Report *report)
{
	static const char *const headings[] = {"Kind", "Object", "Result",
	"What was found", NULL};
	RowSet	   *verdicts;

	verdicts = query(report,
					 "SELECT kind, object,"
					 "       CASE WHEN ok THEN 'verified' ELSE 'different' END,"
					 "       " WITHOUT_EMAILS("detail")
					 "  FROM @schema@.ftm_run_verdict WHERE run_id = $1::bigint"
					 " ORDER BY ok, kind, object");
	if (verdicts->nrows == 0)
		return;
	put_element(report->page, "h2", NULL,
				"Keys, sequences and everything else");
	put_table(report->page, headings, verdicts, -1, -1);
}

/*
 * The options of the last call.
 */
static void
put_settings(const Report *report)
{
	static const char *const headings[] = {"Option", "Value", NULL};
	RowSet	   *settings;

	settings = query(report,
					 "SELECT e.key, CASE jsonb_typeof(e.value)"
					 "   WHEN 'array' THEN coalesce((SELECT string_agg(a, ', ')"
					 "     FROM jsonb_array_elements_text(e.value) a), 'not given')"
					 "   WHEN 'null' THEN 'not given' ELSE e.value #>> '{}' END"
					 "  FROM @schema@.ftm_run r,"
					 "       jsonb_each(coalesce(r.options -> 'scope', '{}') || (r.options - 'scope')) e"
					 " WHERE r.run_id = $1::bigint AND $2::boolean IS NOT NULL"
					 " ORDER BY e.key");
	put_element(report->page, "h2", NULL, "Settings");
	put_table(report->page, headings, settings, -1, -1);
}

static void
put_versions(const Report *report)
{
	static const char *const headings[] = {"Software", "Version", NULL};
	RowSet	   *versions;

	versions = query(report,
					 "SELECT v.name, v.version FROM @schema@.ftm_run r,"
					 " LATERAL (VALUES"
					 "  ('PostgreSQL of the source', r.source_version / 10000 || '.' || r.source_version % 10000),"
					 "  ('PostgreSQL of the target', r.target_version / 10000 || '.' || r.target_version % 10000),"
					 "  ('ftmigrate', r.extension_version)) v(name, version)"
					 " WHERE r.run_id = $1::bigint AND $2::boolean IS NOT NULL");
	put_element(report->page, "h2", NULL, "Versions");
	put_table(report->page, headings, versions, -1, -1);
}

static void
put_end(const Report *report)
{
	RowSet	   *now = query(report,
							"SELECT " TIME_TEXT("clock_timestamp()")
							" WHERE $1::bigint IS NOT NULL AND $2::boolean IS NOT NULL");

	put_element(report->page, "footer", NULL,
				psprintf("Written by ftmigrate at %s UTC%s.",
						 ftm_rowset_value(now, 0, 0),
						 report->emails ? ", with e-mail addresses" : ""));
	appendStringInfoString(report->page, "</main>\n</body>\n</html>\n");
}

/*
 * How a cell is to look: good, bad, or like any other (NULL).
 */
static const char *
verdict_class(const char *value)
{
	if (strcmp(value, "verified") == 0)
		return "good";
	if (strncmp(value, "different", strlen("different")) == 0 ||
		strncmp(value, "failed", strlen("failed")) == 0 ||
		strcmp(value, "ERROR") == 0)
		return "bad";
	return NULL;
}

/*
 * A result as a table.  Columns from first_number to last_number are numbers;
 * verdicts among the others stand out.
 */
static void
put_table(StringInfo page, const char *const *headings, const RowSet *rows,
		  int first_number, int last_number)
{
	appendStringInfoString(page, "<div class=\"wide\"><table>\n<thead><tr>");
	for (int column = 0; headings[column] != NULL; column++)
		put_element(page, "th",
					column >= first_number && column <= last_number ? "number" : NULL,
					headings[column]);
	appendStringInfoString(page, "</tr></thead>\n<tbody>\n");
	for (int row = 0; row < rows->nrows; row++)
	{
		appendStringInfoString(page, "<tr>");
		for (int column = 0; column < rows->ncolumns; column++)
		{
			const char *value = ftm_rowset_value(rows, row, column);
			const char *class = NULL;

			if (column >= first_number && column <= last_number)
				class = "number";
			else if (column > 0 && value != NULL)
				class = verdict_class(value);
			put_element(page, "td", class, value);
		}
		appendStringInfoString(page, "</tr>\n");
	}
	appendStringInfoString(page, "</tbody>\n</table></div>\n");
}
