/*-------------------------------------------------------------------------
 *
 * index_key.c
 *		The key of a b-tree index and the row it stands for, as words whose
 *		order is the index's.
 *
 * What constrains this file:
 *
 * - Which order an index has is told by its comparison functions alone.  A
 *	 column qualifies by the function's OID, if that compares as the bytes do
 *	 that are made here; any other operator class, whatever its type, does not.
 * - Equal entries must be equal images: a posting list of the b-tree keeps one
 *	 of them only.  So what is encoded is the whole value, and can be decoded.
 * - A null is a byte of its own before the value, in columns that may have
 *	 nulls; the value's bytes are zero then.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/nbtree.h"
#include "access/tupmacs.h"
#include "catalog/pg_am.h"
#include "catalog/pg_index.h"
#include "port/pg_bswap.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/uuid.h"

#include "index/index_key.h"

#define TID_BYTES			(ENTRY_TID_BITS / 8)
#define MAX_KEY_UUID		(MAX_ENTRY_WORDS * (int) sizeof(uint64) - TID_BYTES)

/* How the bytes of a value follow its order. */
typedef enum KeyCode
{
	KEY_UNSIGNED,				/* an integer, most significant byte first */
	KEY_SIGNED,					/* the same, with the sign bit inverted */
	KEY_UUID					/* UUID_LEN bytes as they are */
} KeyCode;

typedef struct KeyColumn
{
	AttrNumber	attnum;			/* of the table */
	KeyCode		code;
	int			length;			/* bytes */
	bool		descending;
	bool		nullable;
	uint8		null_byte;		/* before a null */
	uint8		value_byte;		/* before a value */
	int			tuple_offset;	/* in an index tuple without nulls */
} KeyColumn;

struct IndexKey
{
	Relation	index;
	int			nwords;
	int			ncolumns;
	AttrNumber	last_column;
	bool		nullable;		/* some column is */
	Size		tuple_size;		/* of an index tuple without nulls */
	IndexTuple	tuple;			/* such a tuple, to be filled */
	IndexTuple	formed;			/* the latest one with a null, or NULL */
	KeyColumn	columns[INDEX_MAX_KEYS];
	pg_uuid_t	uuids[INDEX_MAX_KEYS];	/* of the latest entry decoded */
};

/*
 * An entry's bytes, with room behind them: integers are written and read as
 * eight bytes, whatever their length.
 */
typedef uint8 KeyBytes[(MAX_ENTRY_WORDS + 1) * sizeof(uint64)];

static bool add_column(IndexKey *key, Relation rel, int i);
static inline void encode_value(const KeyColumn *column, Datum value,
								uint8 *bytes);
static inline void decode_value(const KeyColumn *column, const uint8 *bytes,
								void *value);
static inline Datum decode_integer(const KeyColumn *column,
								   const uint8 *bytes);
static void key_bytes(const IndexKey *key, const uint64 *entry,
					  KeyBytes bytes);
static IndexTuple form_tuple(IndexKey *key, const uint64 *entry);

/*
 * The comparison functions whose order is that of an integer or of bytes.
 */
static const struct
{
	RegProcedure compare;
	KeyCode		code;
	int			length;
}			key_codes[] =
{
	{F_BTBOOLCMP, KEY_UNSIGNED, 1},
	{F_BTCHARCMP, KEY_UNSIGNED, 1},
	{F_BTINT2CMP, KEY_SIGNED, 2},
	{F_BTINT4CMP, KEY_SIGNED, 4},
	{F_BTINT8CMP, KEY_SIGNED, 8},
	{F_BTOIDCMP, KEY_UNSIGNED, 4},
	{F_DATE_CMP, KEY_SIGNED, 4},
	{F_TIME_CMP, KEY_SIGNED, 8},
	{F_TIMESTAMP_CMP, KEY_SIGNED, 8},
	{F_TIMESTAMPTZ_CMP, KEY_SIGNED, 8},
	{F_UUID_CMP, KEY_UUID, UUID_LEN},
};

bool
ftm_index_key_is_plain(Relation index)
{
	return index->rd_rel->relam == BTREE_AM_OID &&
		!index->rd_index->indisexclusion &&
		RelationGetIndexExpressions(index) == NIL &&
		RelationGetIndexPredicate(index) == NIL;
}

IndexKey *
ftm_index_key_create(Relation rel, Relation index)
{
	IndexKey   *key;
	int			length = 0;
	Size		data_size = 0;

	if (!ftm_index_key_is_plain(index) ||
		IndexRelationGetNumberOfAttributes(index) !=
		IndexRelationGetNumberOfKeyAttributes(index))
		return NULL;

	key = palloc0(sizeof(IndexKey));
	key->index = index;
	for (int i = 0; i < IndexRelationGetNumberOfKeyAttributes(index); i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(index), i);
		KeyColumn  *column = &key->columns[i];

		if (!add_column(key, rel, i))
		{
			ftm_index_key_free(key);
			return NULL;
		}
		length += column->length + (column->nullable ? 1 : 0);
		data_size = att_align_nominal(data_size, attribute->attalign);
		column->tuple_offset = (int) data_size;
		data_size += column->length;
	}
	if (length > MAX_KEY_UUID)
	{
		ftm_index_key_free(key);
		return NULL;
	}
	key->nwords = Max(MIN_ENTRY_WORDS,
					  (length + TID_BYTES + (int) sizeof(uint64) - 1) / (int) sizeof(uint64));
	key->tuple_size = MAXALIGN(MAXALIGN(sizeof(IndexTupleData)) + data_size);
	key->tuple = palloc0(key->tuple_size);
	key->tuple->t_info = key->tuple_size;
	return key;
}

/*
 * The index's column i, from 0; false if it does not qualify.
 */
static bool
add_column(IndexKey *key, Relation rel, int i)
{
	Relation	index = key->index;
	Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(index), i);
	KeyColumn  *column = &key->columns[i];
	RegProcedure compare = index_getprocid(index, i + 1, BTORDER_PROC);
	bool		nulls_first = (index->rd_indoption[i] & INDOPTION_NULLS_FIRST) != 0;

	for (int j = 0; j < (int) lengthof(key_codes); j++)
	{
		if (key_codes[j].compare != compare ||
			key_codes[j].length != attribute->attlen ||
			attribute->attbyval != (key_codes[j].code != KEY_UUID))
			continue;
		column->attnum = index->rd_index->indkey.values[i];
		column->code = key_codes[j].code;
		column->length = key_codes[j].length;
		column->descending = (index->rd_indoption[i] & INDOPTION_DESC) != 0;

		column->null_byte = nulls_first ? 0 : 1;
		column->value_byte = nulls_first ? 1 : 0;
		if (column->attnum <= 0)
			return false;
		column->nullable =
			!TupleDescAttr(RelationGetDescr(rel), column->attnum - 1)->attnotnull;
		key->nullable |= column->nullable;
		key->last_column = Max(key->last_column, column->attnum);
		key->ncolumns++;
		return true;
	}
	return false;
}

void
ftm_index_key_free(IndexKey *key)
{
	if (key->tuple != NULL)
		pfree(key->tuple);
	if (key->formed != NULL)
		pfree(key->formed);
	pfree(key);
}

int
ftm_index_key_words(const IndexKey *key)
{
	return key->nwords;
}

AttrNumber
ftm_index_key_last_column(const IndexKey *key)
{
	return key->last_column;
}

void
ftm_index_key_encode(const IndexKey *key, const Datum *values,
					 const bool *isnull, uint64 *entry)
{
	KeyBytes	buffer = {0};
	uint8	   *bytes = buffer;

	for (int i = 0; i < key->ncolumns; i++)
	{
		const KeyColumn *column = &key->columns[i];
		bool		null = isnull[column->attnum - 1];

		if (column->nullable)
			*bytes++ = null ? column->null_byte : column->value_byte;
		else if (unlikely(null))
			elog(ERROR, "unexpected null in a key of index \"%s\"",
				 RelationGetRelationName(key->index));
		if (!null)
			encode_value(column, values[column->attnum - 1], bytes);
		bytes += column->length;
	}
	for (int i = 0; i < key->nwords; i++)
	{
		uint64		word;

		memcpy(&word, buffer + i * sizeof(word), sizeof(word));
		entry[i] = pg_ntoh64(word);
	}
}

/*
 * Integers go by their lowest bytes, whatever a Datum's others hold.  What is
 * written behind a short one is zero.
 */
static inline void
encode_value(const KeyColumn *column, Datum value, uint8 *bytes)
{
	if (column->code == KEY_UUID)
		memcpy(bytes, DatumGetPointer(value), UUID_LEN);
	else
	{
		uint64		integer = (uint64) value << (64 - column->length * 8);

		if (column->code == KEY_SIGNED)
			integer ^= UINT64CONST(1) << 63;
		integer = pg_hton64(integer);
		memcpy(bytes, &integer, sizeof(integer));
	}
	if (column->descending)
	{
		for (int i = 0; i < column->length; i++)
			bytes[i] = ~bytes[i];
	}
}

/*
 * The value as it lies in a tuple.
 */
static inline void
decode_value(const KeyColumn *column, const uint8 *bytes, void *value)
{
	if (column->code == KEY_UUID)
	{
		memcpy(value, bytes, UUID_LEN);
		if (column->descending)
		{
			for (int i = 0; i < UUID_LEN; i++)
				((uint8 *) value)[i] = ~((uint8 *) value)[i];
		}
	}
	else
		store_att_byval(value, decode_integer(column, bytes), column->length);
}

static inline Datum
decode_integer(const KeyColumn *column, const uint8 *bytes)
{
	uint64		integer;

	memcpy(&integer, bytes, sizeof(integer));
	integer = pg_ntoh64(integer);
	if (column->descending)
		integer = ~integer;
	if (column->code == KEY_SIGNED)
		integer ^= UINT64CONST(1) << 63;
	return (Datum) (integer >> (64 - column->length * 8));
}

static void
key_bytes(const IndexKey *key, const uint64 *entry, KeyBytes bytes)
{
	for (int i = 0; i < key->nwords; i++)
	{
		uint64		word = pg_hton64(entry[i]);

		memcpy(bytes + i * sizeof(word), &word, sizeof(word));
	}
}

bool
ftm_index_key_has_null(const IndexKey *key, const uint64 *entry)
{
	KeyBytes	buffer;
	const uint8 *bytes = buffer;

	if (!key->nullable)
		return false;
	key_bytes(key, entry, buffer);
	for (int i = 0; i < key->ncolumns; i++)
	{
		if (key->columns[i].nullable &&
			*bytes++ == key->columns[i].null_byte)
			return true;
		bytes += key->columns[i].length;
	}
	return false;
}

void
ftm_index_key_decode(IndexKey *key, const uint64 *entry, Datum *values,
					 bool *isnull)
{
	KeyBytes	buffer;
	const uint8 *bytes = buffer;

	key_bytes(key, entry, buffer);
	for (int i = 0; i < key->ncolumns; i++)
	{
		const KeyColumn *column = &key->columns[i];

		isnull[i] = column->nullable && *bytes++ == column->null_byte;
		if (column->code == KEY_UUID)
		{
			decode_value(column, bytes, &key->uuids[i]);
			values[i] = UUIDPGetDatum(&key->uuids[i]);
		}
		else
		{
			Datum		value = 0;

			decode_value(column, bytes, &value);
			values[i] = fetch_att(&value, true, column->length);
		}
		bytes += column->length;
	}
}

IndexTuple
ftm_index_key_tuple(IndexKey *key, const uint64 *entry)
{
	KeyBytes	buffer;
	const uint8 *bytes = buffer;
	uint8	   *data = (uint8 *) key->tuple + MAXALIGN(sizeof(IndexTupleData));
	uint64		tid = entry[key->nwords - 1];
	IndexTuple	tuple = key->tuple;

	key_bytes(key, entry, buffer);
	for (int i = 0; i < key->ncolumns; i++)
	{
		const KeyColumn *column = &key->columns[i];

		if (column->nullable && unlikely(*bytes++ == column->null_byte))
		{
			tuple = form_tuple(key, entry);
			break;
		}
		decode_value(column, bytes, data + column->tuple_offset);
		bytes += column->length;
	}
	ItemPointerSet(&tuple->t_tid, (BlockNumber) (tid >> 16),
				   (OffsetNumber) tid);
	return tuple;
}

/*
 * One with nulls, whose values do not lie where they do without.
 */
static IndexTuple
form_tuple(IndexKey *key, const uint64 *entry)
{
	Datum		values[INDEX_MAX_KEYS];
	bool		isnull[INDEX_MAX_KEYS];

	if (key->formed != NULL)
		pfree(key->formed);
	ftm_index_key_decode(key, entry, values, isnull);
	key->formed = index_form_tuple(RelationGetDescr(key->index), values, isnull);
	return key->formed;
}
