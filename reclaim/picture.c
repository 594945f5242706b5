/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "reclaim/picture_private.h"

#include <string.h>

/* ---- taking ---- */

/* An area, cut at the edges of cells. */
struct stretch {
	size_t from, to; /* from the block's beginning */
	size_t cell, bytes;
};

static struct stretch stretch_of(const struct picture *picture, const char *at,
				 size_t bytes)
{
	size_t from = (size_t)(at - picture->area);

	return (struct stretch){.from = from, .to = from + bytes};
}

static bool next_cell(const struct picture *picture, struct stretch *stretch)
{
	size_t end;

	if (stretch->from >= stretch->to)
		return false;
	stretch->cell = stretch->from / picture->cell_bytes;
	end = (stretch->cell + 1) * picture->cell_bytes;
	if (end > stretch->to)
		end = stretch->to;
	stretch->bytes = end - stretch->from;
	stretch->from = end;
	return true;
}

static void add(char *at, size_t bytes, bool hole, void *arg)
{
	struct picture *picture = arg;
	struct stretch all = stretch_of(picture, at, bytes);

	while (!hole && next_cell(picture, &all))
		picture->cells[all.cell].allocated += all.bytes;
}

void picture_take(struct picture *picture, struct block *block)
{
	struct stretch kept;

	memset(picture, 0, sizeof(*picture));
	picture->area = block->area;
	picture->policy = block->policy;
	picture->cell_bytes = block->area_size / PICTURE_CELLS + 1;
	block_each(block, &picture->figures, add, picture);
	kept = stretch_of(picture, block->area, picture->figures.kept);
	while (next_cell(picture, &kept))
		picture->cells[kept.cell].kept += kept.bytes;
}

static unsigned owner_of(struct picture *picture, const void *key,
			 const char *name)
{
	struct owner *owners = picture->owners;
	unsigned i;

	for (i = 0; i < picture->owner_count; i++)
		if (owners[i].key == key)
			return i;
	if (i == PICTURE_OWNERS)
		return i - 1;
	picture->owner_count++;
	owners[i].key = key;
	snprintf(owners[i].name, sizeof(owners[i].name), "%s",
		 i + 1 < PICTURE_OWNERS ? name : "all others");
	return i;
}

/* The majority of a cell, in one pass: who is outvoted loses as much. */
static void vote(struct cell *cell, unsigned char owner, size_t bytes)
{
	if (cell->owner == owner) {
		cell->owned += bytes;
	} else if (cell->owned >= bytes) {
		cell->owned -= bytes;
	} else {
		cell->owned = bytes - cell->owned;
		cell->owner = owner;
	}
}

void picture_own(struct picture *picture, const char *at, size_t bytes,
		 const void *key, const char *name)
{
	struct stretch all = stretch_of(picture, at, bytes);
	unsigned owner = owner_of(picture, key, name);

	picture->owners[owner].bytes += bytes;
	while (next_cell(picture, &all))
		vote(&picture->cells[all.cell], (unsigned char)(owner + 1),
		     all.bytes);
}

/* ---- a row ---- */

static size_t used(const struct cell *cell)
{
	return cell->kept + cell->allocated;
}

/* Of some cells as one, from 0 to 4. */
static unsigned shade(const struct picture *picture, size_t from, size_t to)
{
	size_t all = (to - from) * picture->cell_bytes, sum = 0;

	for (; from < to; from++)
		sum += used(&picture->cells[from]);
	return (unsigned)((sum * 4 + all - 1) / all);
}

void picture_row(const struct picture *picture, unsigned columns, char *row)
{
	static const char *const shades[] = {"·", "░", "▒", "▓", "█"};
	size_t last = picture->figures.total / picture->cell_bytes, from, to;
	unsigned i, dark;

	*row = '\0';
	for (i = 0; i < columns; i++) {
		from = last * i / columns;
		to = last * (i + 1) / columns;
		dark = to > from ? shade(picture, from, to) : 0;
		row = stpcpy(row, shades[dark < 4 ? dark : 4]);
	}
}

/* ---- SVG ---- */

/* In pixels. */
#define CELL   8
#define MARGIN 16
#define LINE   20
#define TOP    (MARGIN + 2 * LINE)
#define WIDTH  (PICTURE_COLUMNS * CELL + 2 * MARGIN)

static const char kept_colour[] = "#9aa0a8", free_colour[] = "#eef1f4",
		  nobody_colour[] = "#3d5a80";
static const char *const colours[PICTURE_OWNERS] = {
	"#98c1d9", "#f58518", "#54a24b", "#e45756", "#72b7b2", "#b279a2",
	"#eeca3b", "#9d755d", "#ff9da6", "#2f4b7c", "#a05195", "#79706e",
};

static void print_bytes(FILE *to, size_t bytes)
{
	static const char *const units[] = {"bytes", "KiB", "MiB", "GiB",
					    "TiB"};
	double value = (double)bytes;
	unsigned i = 0;

	while (value >= 1024 && i + 1 < sizeof(units) / sizeof(units[0])) {
		value /= 1024;
		i++;
	}
	fprintf(to, i ? "%.1f %s" : "%.0f %s", value, units[i]);
}

/* Names are a program's, and not XML. */
static void print_name(FILE *to, const char *name)
{
	for (; *name; name++) {
		if (*name == '<')
			fputs("&lt;", to);
		else if (*name == '&')
			fputs("&amp;", to);
		else
			fputc((unsigned char)*name < ' ' ? ' ' : *name, to);
	}
}

/* The fuller the darker: what is not used shows through. */
static void print_cell(const struct picture *picture, size_t i, FILE *to)
{
	const struct cell *cell = &picture->cells[i];
	const char *colour = nobody_colour;
	double part = (double)used(cell) / (double)picture->cell_bytes;

	if (part == 0)
		return;
	if (cell->kept > cell->allocated)
		colour = kept_colour;
	else if (cell->owner)
		colour = colours[cell->owner - 1];
	fprintf(to,
		"<rect x=\"%zu\" y=\"%zu\" width=\"%d\" height=\"%d\" "
		"fill=\"%s\" fill-opacity=\"%.2f\"/>\n",
		MARGIN + i % PICTURE_COLUMNS * CELL,
		TOP + i / PICTURE_COLUMNS * CELL, CELL, CELL, colour,
		part < 1 ? part : 1);
}

static void print_legend(FILE *to, unsigned line, const char *colour,
			 const char *name, size_t bytes)
{
	unsigned y = TOP + PICTURE_ROWS * CELL + (line + 1) * LINE;

	fprintf(to,
		"<rect x=\"%d\" y=\"%u\" width=\"12\" height=\"12\" "
		"fill=\"%s\" stroke=\"#555\" stroke-width=\"0.5\"/>\n"
		"<text x=\"%d\" y=\"%u\">",
		MARGIN, y - 10, colour, MARGIN + 20, y);
	print_name(to, name);
	fputs(": ", to);
	print_bytes(to, bytes);
	fputs("</text>\n", to);
}

static void print_head(const struct picture *picture, FILE *to)
{
	const struct block_figures *figures = &picture->figures;
	unsigned lines = 4 + picture->owner_count;
	size_t cells = figures->total / picture->cell_bytes;
	size_t height = (cells + PICTURE_COLUMNS - 1) / PICTURE_COLUMNS * CELL;

	fprintf(to,
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" "
		"height=\"%d\" font-family=\"sans-serif\" font-size=\"13\">\n"
		"<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n"
		"<text x=\"%d\" y=\"%d\" font-size=\"16\">Memory block of ",
		WIDTH, TOP + PICTURE_ROWS * CELL + (int)lines * LINE + MARGIN,
		MARGIN, MARGIN + LINE / 2);
	print_bytes(to, figures->total);
	fprintf(to, ", %s: %zu allocations, %zu holes</text>\n",
		block_policy_name(picture->policy), figures->blocks,
		figures->holes);
	fprintf(to,
		"<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%zu\" "
		"fill=\"%s\"/>\n",
		MARGIN, TOP, PICTURE_COLUMNS * CELL, height, free_colour);
}

static void print_legends(const struct picture *picture, FILE *to)
{
	const struct block_figures *figures = &picture->figures;
	size_t others = figures->allocated;
	unsigned i, line = 0;

	print_legend(to, line++, kept_colour, "kept of the block",
		     figures->kept);
	for (i = 0; i < picture->owner_count; i++) {
		print_legend(to, line++, colours[i], picture->owners[i].name,
			     picture->owners[i].bytes);
		others -= picture->owners[i].bytes < others
				  ? picture->owners[i].bytes
				  : others;
	}
	print_legend(to, line++, nobody_colour,
		     picture->owner_count ? "of no task" : "allocated", others);
	print_legend(to, line, free_colour, "free", figures->free);
}

int picture_svg(const struct picture *picture, FILE *to)
{
	size_t i;

	print_head(picture, to);
	for (i = 0; i < PICTURE_CELLS; i++)
		print_cell(picture, i, to);
	print_legends(picture, to);
	fputs("</svg>\n", to);
	return fflush(to) == 0 && !ferror(to) ? 0 : -1;
}
