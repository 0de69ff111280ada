/*-------------------------------------------------------------------------
 *
 * row_value.h
 *		Values of a row: out of a binary COPY stream, and into a tuple.
 *
 * A value on its way is a Datum, or bytes that are still where the stream has
 * them and get their varlena header in the tuple.  What is done for each value
 * of each row is inline.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_ROW_VALUE_H
#define FTM_ROW_VALUE_H

#include "access/htup_details.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "port/pg_bswap.h"
#include "utils/date.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "compat.h"
#include "load/jsonb_value.h"
#include "load/numeric_value.h"

/* How a field becomes a value. */
typedef enum FieldKind
{
	FIELD_GENERIC,				/* by the type's receive function */
	FIELD_BOOL,
	FIELD_INT16,
	FIELD_INT32,				/* any 4 bytes that are the value */
	FIELD_INT64,				/* 8 bytes likewise */
	FIELD_DATE,
	FIELD_TIMESTAMP,
	FIELD_NUMERIC,
	FIELD_UUID,
	FIELD_JSONB,				/* by ftm_jsonb_convert(), which needs memory */
	FIELD_TEXT,					/* bytes that are text */
	FIELD_BYTES					/* bytes as they are */
} FieldKind;

/* A field of the stream. */
typedef struct RowField
{
	FieldKind	kind;
	int			attribute;		/* from 0 */
	bool		not_null;
	bool		is_varlena;
	bool		null_received;	/* the receive function wants to see nulls */
	int32		max_length;		/* bytes of text that are few enough for any
								 * number of characters */
	NumericLimits limits;
	JsonbDecoder *jsonb;
	FmgrInfo	receive;
	Oid			ioparam;
	int32		typmod;
} RowField;

/* How a value is stored. */
typedef enum StorageKind
{
	STORE_CHAR,					/* the Datum is the value */
	STORE_INT16,
	STORE_INT32,
	STORE_INT64,
	STORE_FIXED,				/* a fixed number of bytes */
	STORE_VARLENA,
	STORE_CSTRING
} StorageKind;

/* An attribute of the table. */
typedef struct RowAttribute
{
	StorageKind kind;
	int			length;			/* bytes, unless variable */
	uintptr_t	align_mask;		/* alignment - 1 */
	uint16		infomask;		/* what a value of it adds to the tuple's */
	bool		may_be_short;	/* a varlena of few bytes has a short header */
} RowAttribute;

/* Values where the stream has them have no varlena header yet. */
#define NOT_RAW	(-1)

/* The column of the stream that fills an attribute. */
extern void ftm_field_init(RowField *field, Form_pg_attribute att);

/*
 * Have the type's receive function make a value of a field, in place, in the
 * current memory context; the byte behind it is written to, but restored.
 * Errors are those of the function, and of COPY if it does not use all bytes.
 */
extern Datum ftm_field_receive(RowField *field, char *data, int32 length);

extern void ftm_attribute_init(RowAttribute *attribute, Form_pg_attribute att);

/* How many bytes of a tuple a value takes, alignment not counted. */
extern size_t ftm_attribute_size(const RowAttribute *attribute, Datum value);

static inline uint16
ftm_read_uint16(const char *data)
{
	uint16		value;

	memcpy(&value, data, sizeof(value));
	return pg_ntoh16(value);
}

static inline uint32
ftm_read_uint32(const char *data)
{
	uint32		value;

	memcpy(&value, data, sizeof(value));
	return pg_ntoh32(value);
}

static inline uint64
ftm_read_uint64(const char *data)
{
	uint64		value;

	memcpy(&value, data, sizeof(value));
	return pg_ntoh64(value);
}

/*
 * Text of these bytes alone is valid in every encoding a database may have.
 */
static inline bool
ftm_is_ascii_text(const char *text, int32 length)
{
	const uint64 high = UINT64CONST(0x8080808080808080);
	const uint64 ones = UINT64CONST(0x0101010101010101);
	uint64		bad = 0;
	unsigned char bad_tail = 0;

	/* A byte that is 0 borrows in the subtraction, and has its high bit set. */
	for (; length >= 8; text += 8, length -= 8)
	{
		uint64		chunk;

		memcpy(&chunk, text, sizeof(chunk));
		bad |= chunk | (chunk - ones);
	}
	for (; length > 0; text++, length--)
		bad_tail |= (unsigned char) *text | (unsigned char) (*text - 1);
	return (bad & high) == 0 && (bad_tail & 0x80) == 0;
}

static inline bool
ftm_is_text(const char *text, int32 length)
{
	return ftm_is_ascii_text(text, length) ||
		pg_verify_mbstr(GetDatabaseEncoding(), text, length, true);
}

/*
 * Decode a field that is not null, where it is.  False: not here.
 */
static inline bool
ftm_field_decode(const RowField *field, char *data, int32 length,
				 Datum *value, int *raw_length)
{
	int64		number;

	switch (field->kind)
	{
		case FIELD_GENERIC:
		case FIELD_JSONB:
			return false;
		case FIELD_BOOL:
			if (length != 1)
				return false;
			*value = BoolGetDatum(*data != 0);
			return true;
		case FIELD_INT16:
			if (length != 2)
				return false;
			*value = Int16GetDatum((int16) ftm_read_uint16(data));
			return true;
		case FIELD_INT32:
			if (length != 4)
				return false;
			*value = Int32GetDatum((int32) ftm_read_uint32(data));
			return true;
		case FIELD_INT64:
			if (length != 8)
				return false;
			*value = Int64GetDatum((int64) ftm_read_uint64(data));
			return true;
		case FIELD_DATE:
			if (length != 4)
				return false;
			number = (int32) ftm_read_uint32(data);
			*value = DateADTGetDatum((DateADT) number);
			return DATE_NOT_FINITE(number) || IS_VALID_DATE(number);
		case FIELD_TIMESTAMP:
			if (length != 8)
				return false;
			number = (int64) ftm_read_uint64(data);
			*value = TimestampGetDatum(number);
			return TIMESTAMP_NOT_FINITE(number) || IS_VALID_TIMESTAMP(number);
		case FIELD_NUMERIC:
			*value = PointerGetDatum(ftm_numeric_convert(&field->limits, data,
														 length, raw_length));
			return DatumGetPointer(*value) != NULL;
		case FIELD_UUID:
			*value = PointerGetDatum(data);
			return length == UUID_LEN;
		case FIELD_TEXT:
			*value = PointerGetDatum(data);
			*raw_length = length;
			return length <= field->max_length && ftm_is_text(data, length);
		case FIELD_BYTES:
			*value = PointerGetDatum(data);
			*raw_length = length;
			return true;
	}
	return false;
}

static inline char *
ftm_align(const RowAttribute *attribute, char *data)
{
	return (char *) (((uintptr_t) data + attribute->align_mask) &
					 ~attribute->align_mask);
}

/* What a varlena may hold: 30 bits count its header, too. */
#define MAX_VARLENA_BYTES	((uint32) (MaxAllocSize - VARHDRSZ))

/*
 * Write the bytes of a varlena behind a header, as short as may be; length is
 * at most MAX_VARLENA_BYTES.
 */
static inline char *
ftm_store_raw_varlena(const RowAttribute *attribute, char *data, Datum *value,
				  int32 length)
{
	const char *bytes = DatumGetPointer(*value);

	if (attribute->may_be_short &&
		length + VARHDRSZ_SHORT <= VARATT_SHORT_MAX)
	{
		*value = PointerGetDatum(data);
		SET_VARSIZE_SHORT(data, length + VARHDRSZ_SHORT);
		data += VARHDRSZ_SHORT;
	}
	else
	{
		data = ftm_align(attribute, data);
		*value = PointerGetDatum(data);
		SET_VARSIZE(data, length + VARHDRSZ);
		data += VARHDRSZ;
	}
	memcpy(data, bytes, length);
	return data + length;
}

/*
 * Copy a varlena, giving it a short header if it may have one.
 */
static inline char *
ftm_store_varlena(const RowAttribute *attribute, char *data, Datum *value)
{
	char	   *bytes = DatumGetPointer(*value);
	size_t		length;

	if (VARATT_IS_SHORT(bytes))
		length = VARSIZE_SHORT(bytes);
	else if (attribute->may_be_short && VARATT_CAN_MAKE_SHORT(bytes))
	{
		*value = PointerGetDatum(VARDATA(bytes));
		return ftm_store_raw_varlena(attribute, data, value,
								 VARSIZE(bytes) - VARHDRSZ);
	}
	else
	{
		data = ftm_align(attribute, data);
		length = VARSIZE(bytes);
	}
	memcpy(data, bytes, length);
	*value = PointerGetDatum(data);
	return data + length;
}

/*
 * Write one attribute at data, and have its value point there.  Returns where
 * it ends.
 */
static inline char *
ftm_attribute_store(const RowAttribute *attribute, char *data, Datum *value,
					int raw_length)
{
	size_t		length = attribute->length;

	/*
	 * There is room, and padding must be zero: by its first byte a reader
	 * tells whether a varlena comes now, with a short header, or later.
	 */
	memset(data, 0, MAXIMUM_ALIGNOF);
	if (attribute->kind == STORE_VARLENA)
	{
		if (raw_length != NOT_RAW)
			return ftm_store_raw_varlena(attribute, data, value, raw_length);
		return ftm_store_varlena(attribute, data, value);
	}

	data = ftm_align(attribute, data);
	switch (attribute->kind)
	{
		case STORE_CHAR:
			*data = DatumGetChar(*value);
			return data + sizeof(char);
		case STORE_INT16:
			*(int16 *) data = DatumGetInt16(*value);
			return data + sizeof(int16);
		case STORE_INT32:
			*(int32 *) data = DatumGetInt32(*value);
			return data + sizeof(int32);
		case STORE_INT64:
			*(int64 *) data = DatumGetInt64(*value);
			return data + sizeof(int64);
		case STORE_VARLENA:
		case STORE_FIXED:
			break;
		case STORE_CSTRING:
			length = strlen(DatumGetCString(*value)) + 1;
			break;
	}
	memcpy(data, DatumGetPointer(*value), length);
	*value = PointerGetDatum(data);
	return data + length;
}

#endif							/* FTM_ROW_VALUE_H */
